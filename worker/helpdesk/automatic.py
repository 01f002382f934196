"""Mail that no person wrote: replies of machines and bounces, which nobody should answer.

Answering them makes loops between two machines. What is recognised is kept as `ignored`, and nobody
reads it: a subject counts only if a program writes it so. The same words begin what customers
write, too ("Automatic reply stopped working", "メールが送信できませんでした").
"""

import re

LIST_TAG = r"\s*(?:\[[^\]]{1,40}\]\s*)?"
BY_A_PROGRAM = (
    r"\s*(?:$|[:：(（【\[]|[-–—]\s|(?:re|aw)\s?:|\b(?:until|till|from|bis|ab|vom|jusqu|du)\b)"
)
"""What follows in a program's subject: nothing, what it answers, or how long nobody is there."""
AUTOMATIC_SUBJECT = re.compile(
    LIST_TAG + r"(?:auto\s?[:：]\s*)?(?:"
    r"auto(?:matic|mated)?[- ]?(?:reply|response|answer)|"
    r"(?:i am |i'm )?(?:currently )?(?:out of (?:the )?office(?: auto-?reply)?|on vacation)|"
    r"automatische (?:antwort|rückantwort)|abwesenheits(?:notiz|nachricht|assistent)|"
    r"(?:ich bin )?(?:derzeit |zurzeit )?(?:abwesend|nicht im büro|außer haus)|"
    r"réponse automatique|(?:message d['’])?absence du bureau|message d['’]absence|"
    r"je suis absente?|"
    r"自動返信(?:メール)?|自動応答|不在(?:通知|のお知らせ)|自动(?:回复|答复)|自動(?:回覆|回復)|外出自动回复|"
    r"休假(?:通知|中)"
    r")" + BY_A_PROGRAM,
    re.IGNORECASE,
)
BOUNCE_SUBJECT = re.compile(
    LIST_TAG + r"(?:"
    r"undelivered mail returned to sender|delivery status notification\b|failure notice\s*$|"
    r"(?:mail )?delivery (?:failure|failed|has failed(?: to these recipients.*)?)\s*(?:$|\()|"
    r"mail delivery failed\b|returned mail\s*(?:$|:)|"
    r"(?:message|mail) (?:not delivered|undeliverable)\s*(?:$|[:：])|"
    r"delivery failure notification\b|e-?mail-?zustellung fehlgeschlagen|"
    r"échec de (?:la )?remise(?: du (?:message|courriel|mail))?\s*(?:$|[:：])|"
    r"message non distribué\s*(?:$|[:：])|"
    r"系统退信|退信(?:通知)?\s*(?:$|[:：])|(?:邮件|郵件)(?:无法|無法)(?:投递|投遞|送达|送達)\s*(?:$|[:：])"
    r")",
    re.IGNORECASE,
)
BOUNCE_BEFORE_SUBJECT = re.compile(
    LIST_TAG + r"(?:undeliver(?:ed|able)|(?:mail )?delivery (?:failure|failed|has failed)|"
    r"unzustellbar|nicht zugestellt|zustellung fehlgeschlagen|"
    r"non remis|non distribuable|配信不能|配信できません|(?:无法|無法)(?:投递|投遞|送达|送達|傳遞)"
    r"|未送达)"
    r"\s*[:：]",
    re.IGNORECASE,
)
"""How some programs begin the subject of what came back. People write so too: where the sender is
known and no machine, it was one of them.
"""
MACHINES = re.compile(
    r"^(?:mailer-daemon|postmaster|bounces?(?:[+-].*)?|auto-?(?:reply|responder)"
    r"|microsoftexchange[0-9a-f]*)@",
    re.IGNORECASE,
)


def why_automatic(subject: str, requester: str | None) -> str | None:
    """Why a mail was written by a machine; None if a person may have written it."""
    if requester and MACHINES.match(requester):
        return "a machine's mail"
    begins = subject[:300]
    is_known = requester is not None and "@" in requester  # others are the ids of anybody
    if BOUNCE_SUBJECT.match(begins) or (not is_known and BOUNCE_BEFORE_SUBJECT.match(begins)):
        return "a bounce"
    return "an automatic reply" if AUTOMATIC_SUBJECT.match(begins) else None
