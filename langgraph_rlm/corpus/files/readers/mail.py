"""Mail (``.eml``): its headers and its decoded text, the plain part before the one in HTML."""

from __future__ import annotations

from email import policy
from email.message import MIMEPart
from email.parser import BytesParser

_HEADERS = ("From", "To", "Cc", "Date", "Subject")


def mail_text(data: bytes) -> tuple[str, str]:
    """Text and subject of a mail; attachments are named, those that are texts are read too.

    Raises:
        ValueError: it has neither headers nor text.
    """
    mail = BytesParser(policy=policy.default).parsebytes(data)
    if not any(mail[name] for name in _HEADERS):
        raise ValueError("it has none of the headers of a mail")
    lines = [f"{name}: {mail[name]}" for name in _HEADERS if mail[name]]
    body = mail.get_body(("plain", "html"))
    texts = [] if body is None else [_content(body)]
    for part in mail.iter_attachments():
        name = part.get_filename() or part.get_content_type()
        is_text = part.get_content_maintype() in ("text", "message")
        texts.append(f"Attachment: {name}\n{_content(part)}" if is_text else f"Attachment: {name}")
    return "\n".join(lines) + "\n\n" + "\n\n".join(text.strip("\n") for text in texts) + "\n", str(
        mail["Subject"] or ""
    )


def _content(part: MIMEPart) -> str:
    """A part as text; of a mail within a mail, which is forwarded, its own."""
    if part.get_content_type() == "message/rfc822":
        return mail_text(part.get_content().as_bytes())[0]
    text = part.get_content()
    if not isinstance(text, str):
        return ""
    if part.get_content_subtype() == "html":
        from .html import html_text

        return html_text(text.encode())[0]
    return text.replace("\r\n", "\n")
