"""Language detection: script rules, the restricted langdetect, and what is not served."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from worker.triage.language import LanguageDetector, is_japanese_form


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


@pytest.mark.parametrize("text", ["請求書再発行希望", "株式会社山田商事御中", "至急対応希望"])
def test_japanese_without_kana_is_known_by_its_forms_and_words(
    detector: LanguageDetector, text: str
) -> None:
    assert detector.detect(text).code == "ja"


def test_kanji_that_both_languages_write_follow_the_locale(detector: LanguageDetector) -> None:
    assert detector.detect("注文番号").code == "zh"
    assert detector.detect("注文番号", locale="ja-JP").code == "ja"


def test_a_chinese_ticket_that_quotes_a_japanese_product_stays_chinese(
    detector: LanguageDetector,
) -> None:
    text = "我上周购买的サクラ打印机已经无法使用，请问如何申请保修和更换，我已经附上发票和照片。"

    assert detector.detect(text).code == "zh"


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
    assert not detected.is_supported


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
