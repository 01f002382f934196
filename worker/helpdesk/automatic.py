"""Mail that no person wrote: replies of machines and bounces, which nobody should answer.

Answering them makes loops between two machines. What is recognised is kept as `ignored`.
"""

import re

AUTOMATIC_SUBJECT = re.compile(
    r"^\s*(?:(?:auto|re|aw|fw|fwd|wg|tr)\s?[:：]\s*)*(?:\[[^\]]{1,40}\]\s*)?(?:"
    r"auto(?:matic|mated)?[- ]?(?:reply|response|answer)|out of (?:the )?office|"
    r"(?:i am|i'm) (?:currently )?(?:out of (?:the )?office|on vacation)|on vacation|"
    r"automatische (?:antwort|rückantwort)|abwesenheits(?:notiz|nachricht|assistent)|abwesend|"
    r"(?:ich bin )?(?:derzeit |zurzeit )?(?:nicht im büro|außer haus)|urlaubsvertretung|"
    r"réponse automatique|absence du bureau|(?:message d['’])?absence\b|je suis absent|"
    r"自動返信|自動応答|不在(?:通知|連絡|のお知らせ)|自动(?:回复|答复)|自動(?:回覆|回復)|外出自动回复|休假(?:通知|中)"
    r")",
    re.IGNORECASE,
)
BOUNCE_SUBJECT = re.compile(
    r"undeliver(?:ed|able)|(?:mail )?delivery (?:status notification|failure|has failed|failed)|"
    r"mail delivery failed|returned mail|failure notice|message not delivered|"
    r"unzustellbar|nicht zugestellt|zustellung fehlgeschlagen|"
    r"échec de (?:la )?remise|non remis|message non distribué|"
    r"配信不能|配信できません|送信できませんでした|退信|无法(?:投递|送达)|無法(?:投遞|送達)|系统退信",
    re.IGNORECASE,
)
MACHINES = re.compile(
    r"^(?:mailer-daemon|postmaster|bounces?(?:[+-].*)?|auto-?(?:reply|responder))@", re.IGNORECASE
)


def why_automatic(subject: str, requester: str | None) -> str | None:
    """Why a mail was written by a machine; None if a person may have written it."""
    if requester and MACHINES.match(requester):
        return "a machine's mail"
    if BOUNCE_SUBJECT.search(subject[:300]):
        return "a bounce"
    return "an automatic reply" if AUTOMATIC_SUBJECT.match(subject[:300]) else None
