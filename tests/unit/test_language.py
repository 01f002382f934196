"""Language detection: script rules, the restricted langdetect, and what is not served."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from worker.triage.language import NAMES, LanguageDetector, is_japanese_form, same_language
from worker.triage.prose import prose


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Meine Bestellung ist noch nicht angekommen.", "de"),
        ("Je n'ai toujours pas reçu ma commande.", "fr"),
        ("My order has not arrived yet.", "en"),
        ("注文した商品がまだ届きません。", "ja"),
        ("我的订单还没有到。", "zh"),
        ("我的訂單還沒有到。", "zh"),
        ("WLAN geht nicht", "de"),
        ("ﾛｸﾞｲﾝできません", "ja"),
    ],
)
def test_the_five_languages_are_told_apart(
    detector: LanguageDetector, text: str, code: str
) -> None:
    assert detector.detect(text).code == code


KANJI_ONLY = (Path(__file__).parent / "data/kanji_only_japanese.txt").read_text().split()


@pytest.mark.parametrize("text", KANJI_ONLY)
def test_japanese_without_kana_is_known_by_its_spelling_and_words(
    detector: LanguageDetector, text: str
) -> None:
    assert detector.detect(text).code == "ja"


@pytest.mark.parametrize(
    "text", ["訂單尚未送達", "請問如何退貨", "登录失败", "产品故障维修", "系統當機"]
)
def test_chinese_that_is_as_short_stays_chinese(detector: LanguageDetector, text: str) -> None:
    assert detector.detect(text).code == "zh"


@pytest.mark.parametrize(
    ("text", "locale", "tag"),
    [
        ("我的订单还没有到。", None, "zh-Hans"),
        ("我的訂單還沒有到。", None, "zh-Hant"),
        ("我的订单还没有到。", "zh-TW", "zh-Hans"),
        ("你好，什麼時候送到", "zh-CN", "zh-Hant"),
        ("我看不到", None, "zh"),
        ("我看不到", "zh-TW", "zh-Hant"),
        ("我看不到", "zh_HK", "zh-Hant"),
        ("我看不到", "zh-CN", "zh"),
        ("注文した商品がまだ届きません。", None, "ja"),
    ],
)
def test_traditional_and_simplified_chinese_are_told_apart(
    detector: LanguageDetector, text: str, locale: str | None, tag: str
) -> None:
    assert detector.detect(text, locale=locale).tag == tag


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("zh-Hant", "zh-Hant", True),
        ("zh-Hant", "zh", True),
        ("zh", "zh-Hans", True),
        ("zh-Hant", "zh-Hans", False),
        ("zh", "ja", False),
        (None, "de", False),
    ],
)
def test_a_reply_may_leave_its_script_open_but_not_take_the_other(
    one: str | None, other: str | None, same: bool
) -> None:
    assert same_language(one, other) is same


def test_kanji_that_both_languages_write_follow_the_locale(detector: LanguageDetector) -> None:
    assert detector.detect("故障報告").code == "zh"
    assert detector.detect("故障報告", locale="ja-JP").code == "ja"


def test_a_chinese_ticket_that_quotes_a_japanese_product_stays_chinese(
    detector: LanguageDetector,
) -> None:
    text = "我上周购买的サクラ打印机已经无法使用，请问如何申请保修和更换，我已经附上发票和照片。"

    assert detector.detect(text).code == "zh"


def test_links_code_and_logs_say_nothing_of_the_language(detector: LanguageDetector) -> None:
    text = """Die App startet nicht mehr, siehe https://status.example.com/this/is/an/english/page
2026-11-02 10:11:12 ERROR connection to the database server could not be established
Traceback (most recent call last):
```
the quick brown fox jumps over the lazy dog and the quick brown fox jumps again
```"""

    assert detector.detect(text).code == "de"


@pytest.mark.parametrize("locale", ["fr", "en-GB", "ja", None])
def test_a_locale_does_not_overrule_a_clear_text(
    detector: LanguageDetector, locale: str | None
) -> None:
    text = "Meine Bestellung ist nicht angekommen."

    assert detector.detect(text, locale=locale).code == "de"


def test_a_locale_decides_between_languages_that_are_equally_likely(
    detector: LanguageDetector,
) -> None:
    text = "Tom"

    assert {detector.detect(text, locale=code).code for code in ("fr", "en")} == {"fr", "en"}


def test_short_text_is_in_one_of_the_desks_own_languages(detector: LanguageDetector) -> None:
    text = "Facture 4711"

    assert detector.detect(text).code == "fr"
    assert detector.detect(text, among={"de", "en", "ja"}).code in {"de", "en"}
    assert detector.detect(text, among={"ja"}).code == "fr", "a desk with none of the three"


def test_a_german_ticket_with_an_english_quote_stays_german(detector: LanguageDetector) -> None:
    text = (
        "Seit gestern erscheint beim Anmelden die Meldung 'Your session has expired', und ich "
        "komme nicht mehr in mein Kundenkonto. Bitte helfen Sie mir weiter."
    )

    assert detector.detect(text).code == "de"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Hola, hice un pedido la semana pasada y todavía no he recibido nada de ustedes.", "es"),
        ("Il mio ordine non è ancora arrivato, potete aiutarmi per favore? Sono deluso.", "it"),
        ("Где мой заказ? Я жду уже две недели.", "ru"),
        ("주문한 상품이 아직 도착하지 않았습니다.", "ko"),
    ],
)
def test_other_languages_are_named_and_not_supported(
    detector: LanguageDetector, text: str, code: str
) -> None:
    detected = detector.detect(text)

    assert detected.code == code
    assert detected.code not in NAMES


@pytest.mark.parametrize(
    "text",
    [
        "請問如何解約？我的合約還沒到期。",
        "我用公司名義購買的。",
        "我要申請印鑑證明",
        "請問圖書類商品可以退貨嗎？",
        "我的入金还没有到账。",
        "這是我的保証書,還在保固期內。",
    ],
)
def test_words_that_both_languages_have_do_not_make_chinese_japanese(
    detector: LanguageDetector, text: str
) -> None:
    assert detector.detect(text).code == "zh"


@pytest.mark.parametrize(
    "text", ["定期的請求書返金", "請求書是正希望", "技術的不具合", "公的証明書", "返金手続完了"]
)
def test_what_chinese_uses_as_words_japanese_has_in_compounds(
    detector: LanguageDetector, text: str
) -> None:
    assert detector.detect(text).code == "ja"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("আমার iPhone অর্ডার এখনও আসেনি, দয়া করে সাহায্য করুন", "bn"),
        ("என் iPhone ஆர்டர் இன்னும் வரவில்லை", "ta"),
        ("ჩემი iPhone შეკვეთა ჯერ არ მოსულა", "und"),
        ("Իմ iPhone պատվերը դեռ չի եկել", "und"),
        ("ការបញ្ជាទិញ iPhone របស់ខ្ញុំមិនទាន់មកដល់ទេ", "und"),
    ],
)
def test_a_latin_name_in_a_script_that_nobody_here_reads_decides_nothing(
    detector: LanguageDetector, text: str, code: str
) -> None:
    found = detector.detect(text)

    assert found.code == code
    assert found.code not in NAMES


@pytest.mark.parametrize("text", ["", "😀😀😀", "12345 67890", "???!!!", "\n\n"])
def test_text_without_letters_has_no_language(detector: LanguageDetector, text: str) -> None:
    assert detector.detect(text).code is None


def test_sixteen_threads_get_the_answers_one_gets(detector: LanguageDetector) -> None:
    texts = ["Hallo Welt", "bonjour", "order", "注文", "订单", "Lieferung", "merci", "hi"] * 20
    alone = [detector.detect(text) for text in texts]

    with ThreadPoolExecutor(16) as threads:
        together = list(threads.map(detector.detect, texts))

    assert together == alone


def test_forms_written_in_hong_kong_too_do_not_make_a_text_japanese() -> None:
    assert is_japanese_form("円")
    assert not is_japanese_form("裏")
    assert not is_japanese_form("订")


@pytest.mark.parametrize("text", [
    "詳しくはhttps://firma.example/xの内容をご確認ください",
    "support@firma.exampleまでとのことですが届きません",
])  # fmt: skip
def test_what_follows_an_address_without_a_space_is_read(
    text: str, detector: LanguageDetector
) -> None:
    assert detector.detect(text).code == "ja"
    assert prose(text).isascii() is False
    assert "firma" not in prose(text)


@pytest.mark.parametrize("machine_words", [
    "https://пример.рф/x", "https://日本語.jp/x", "hilfe@пример.рф", "System.IO.NotFoundException",
])  # fmt: skip
def test_addresses_and_names_in_any_script_are_no_prose(machine_words: str) -> None:
    assert prose(f"Siehe {machine_words} bitte").split() == ["Siehe", "bitte"]


@pytest.mark.parametrize("piece", ["a", "A", "a_", "a.", "a@", "a-", "www.", "https://x/", "あ"])
def test_a_text_without_end_is_read_in_no_time(piece: str) -> None:
    started = time.perf_counter()

    prose(piece * 100_000)

    assert time.perf_counter() - started < 2
