"""Texts that answer nothing: refusals, "I do not know", code, a bare value, nothing at all."""

from __future__ import annotations

import re
from typing import Literal

from langgraph_rlm.calls.fences import fences
from langgraph_rlm.calls.python_source import parsed

Nothing = Literal["empty", "refusal", "unknown", "code", "bare"]
"""Why a text is no answer; ``bare``: a lone value, behind which nobody can see more than a guess."""

MOST_CHARS = 600
"""A text that is longer says something, whatever it begins with."""

_START = r"(?:[\s>*_#\"'“«¡¿-]{0,20}+(?:(?:well|ok|okay|unfortunately|regrettably|leider|malheureusement|hélas|lamentablemente|desafortunadamente|infelizmente|purtroppo|helaas|niestety|к сожалению|на жаль)[,.!…，。、]?+\s{0,5}+)?+)"  # fmt: skip
_REFUSALS = (
    # English
    r"(?:I(?:['’]m| am) (?:(?:very|so|really|truly) )?sorry|(?:I )?apolog(?:ies|ize|ise)|sorry|my apologies)\b(?=[^.!?\n]{0,80}\b(?:but|can['’]?t|cannot|can not|unable|not able|won['’]?t)\b)",
    r"(?:I(?:['’]m| am) (?:very )?sorry|sorry|my apologies|I apologi[sz]e)[ ,.!—-]{1,3}+(?:but )?+I (?:can['’]?t|cannot|can not|won['’]?t|am (?:unable|not able))",
    r"(?:as|since) (?:an? )?(?:AI|large language model|language model|assistant)\b[^.\n]{0,60}\bI (?:can['’]?t|cannot|am (?:unable|not able)|do(?:n['’]t| not))",
    r"I (?:can['’]?t|cannot|can not|won['’]?t|will not|must decline to|decline to|am (?:not able|unable|not allowed|not permitted) to|['’]m (?:not able|unable|not allowed) to) (?:\w+ )?(?:assist|help|comply|fulfil+|continue|do that|provide|discuss|engage|process|answer|complete|support)",
    r"I['’]m (?:not able|unable|not allowed) to (?:\w+ )?(?:assist|help|comply|fulfil+|continue|do that|provide|discuss|answer|complete)",
    r"(?:this|that|your|the) (?:request|content|prompt|question) (?:violates|goes against|is against|was (?:blocked|filtered|flagged)|has been (?:blocked|filtered|flagged)|cannot be (?:processed|fulfilled))",
    # German, French, Spanish, Portuguese, Italian, Dutch, Polish
    r"(?:es tut mir (?:sehr )?leid|tut mir leid|entschuldigung)[ ,.!—-]{1,3}+(?:aber )?+(?:ich|dabei|das|damit|diese|hierbei)[^.\n]{0,80}\bnicht\b",
    r"ich (?:kann|darf|werde) (?:(?:Ihnen|dir|dabei|dazu|damit|hier|diese[rsn]?|das|bei|Anfrage|leider) )*(?:nicht|keine)\b[^.\n]{0,60}\b(?:helfen|behilflich|unterstützen|beantworten|weiterhelfen|nachkommen|geben|Auskunft)",
    r"(?:je suis (?:vraiment )?désolée?|désolée?)[ ,.!—-]{1,3}+(?:mais )?+je ne (?:peux|suis|puis)",
    r"je ne (?:peux|puis|suis) (?:malheureusement )?pas (?:en mesure )?(?:vous |t['’]|d['’]|de )?(?:aider|vous aider|répondre|assister|fournir)",
    r"(?:lo siento|lo lamento|disculpa|perdón)[ ,.!—-]{1,3}+(?:pero )?+no (?:puedo|me es|estoy)",
    r"no (?:puedo|me es posible|estoy en condiciones de) (?:ayudar|asistir|responder|cumplir|proporcionar)",
    r"(?:sinto muito|desculpe|lamento|peço desculpas?)[ ,.!—-]{1,3}+(?:mas )?+(?:eu )?+não (?:posso|consigo)",
    r"(?:eu )?não (?:posso|consigo) (?:ajudar|responder|auxiliar|fornecer|atender)",
    r"(?:mi dispiace|spiacente|mi spiace)[ ,.!—-]{1,3}+(?:ma )?+non (?:posso|sono in grado)",
    r"non (?:posso|sono in grado di) (?:aiutar|assister|risponder|fornir)",
    r"(?:het spijt me|sorry|excuses)[ ,.!—-]{1,3}+(?:maar )?+(?:ik kan|daar kan ik|hier kan ik)[^.\n]{0,60}\b(?:niet|geen)\b",
    r"ik kan (?:je|u|jou)?[^.\n]{0,30}\bniet (?:mee )?(?:helpen|assisteren|beantwoorden)",
    r"(?:przykro mi|przepraszam)[ ,.!—-]{1,3}+(?:ale )?+nie mogę",
    r"nie mogę (?:w tym )?(?:pomóc|odpowiedzieć|spełnić)",
    # Russian, Ukrainian, Chinese, Japanese, Korean
    r"(?:извините|простите|мне (?:очень )?жаль|прошу прощения)[ ,.!—-]{1,3}+(?:но )?+я не (?:могу|смогу)",
    r"я не (?:могу|смогу) (?:вам |тебе |с этим |в этом )*(?:помочь|ответить|выполнить|предоставить)",
    r"(?:вибачте|перепрошую)[ ,.!—-]{1,3}+(?:але )?+я не можу",
    r"(?:(?:非常|很|真)?(?:抱歉|对不起|對不起)[，,。！! ]{0,5}+)?+(?:但)?+我(?:无法|無法|不能|没办法|沒辦法)(?:[^。\n]{0,10})(?:帮|幫|协助|協助|提供|回答|满足|滿足|完成|处理|處理|继续|讨论)",
    r"(?:申し訳(?:ありません|ございません)|すみません|恐れ入りますが)[^\n]{0,80}(?:できません|できかねます|お答えできない|お手伝いできない|いたしかねます)",
    r"(?:죄송(?:합니다|하지만)|미안하지만)[^\n]{0,80}(?:없습니다|어렵습니다|못합니다)",
)
_UNKNOWNS = (
    r"(?:I|we) (?:do not|don['’]t|did not|didn['’]t|could not|couldn['’]t|cannot|can['’]t|was not able to|was unable to|am unable to|am not able to|have not|haven['’]t) (?:\w+ )?(?:know|find|found|determine|tell|locate|answer|have (?:enough|sufficient|the|any|access)|see any|identify)",
    r"(?:no|not enough|insufficient|there is (?:no|not enough)) (?:answer|information|(?:relevant|matching|sufficient) \w+)\b[^.\n]{0,60}(?:found|available|given|provided|to (?:answer|determine)|\.|$)",
    r"(?:not found|unknown|n/?a|none|null|undetermined|cannot be determined|could not be determined|unable to (?:determine|answer|find))\b[^\n]{0,20}$",
    r"(?:the|this) (?:(?:provided|given|available) )?(?:context|text|document|documents|passages?|information|outputs?|data|question|answer) (?:(?:does not|doesn['’]t|do not|don['’]t) (?:(?!only|just|merely)\w+ )?(?:contain|mention|say|state|provide|specify|include|hold|give)|(?:cannot|can['’]t|could not) be (?:determined|answered|found)|(?:is not|isn['’]t|was not|were not) (?:found|known|(?:given|stated|mentioned|in) (?:in )?(?:the|this) (?:text|context|documents?|passages?)))",
    r"(?:it|this) (?:is not possible|is impossible|cannot be|could not be|was not possible)\b[^.\n]{0,40}(?:determine|answer|say|tell|found|know)",
    r"(?:ich (?:weiß|weiss) (?:es |das )?nicht|je ne sais pas|no (?:lo )?sé|não sei|non (?:lo )?so|ik weet (?:het )?niet|nie wiem|(?:я )?не знаю|我不知道|不知道|わかりません|分かりません|모르겠습니다)",
)  # fmt: skip
_REFUSAL = re.compile(f"{_START}(?:{'|'.join(_REFUSALS)})", re.IGNORECASE)
_UNKNOWN = re.compile(f"{_START}(?:{'|'.join(_UNKNOWNS)})", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]{2,}")
_CELL_CALL = re.compile(r"\b(?:print|FINAL|FINAL_VAR|SHOW_VARS|grep|search|llm_query|rlm_query)\w*\(")


def answers_nothing(text: str) -> Nothing | None:
    """Why a text is no answer to a question that asks for words; None when it may be one.

    Args:
        text: what a model said.

    Returns:
        ``"empty"``, ``"refusal"``, ``"unknown"`` (it says that it does not know), ``"code"``, ``"bare"`` (a number or a sign
        without a word; right for an answer that was submitted, not for what was said last), or None.

    Example:
        >>> answers_nothing("I'm sorry, but I can't assist with that."), answers_nothing("Revenue fell in 2020.")
        ('refusal', None)
    """
    said = text.strip()
    if not said:
        return "empty"
    if _is_code(said):
        return "code"
    if len(said) <= MOST_CHARS:
        if _REFUSAL.match(said):
            return "refusal"
        if _UNKNOWN.match(said):
            return "unknown"
    if len(said) <= 40 and not _WORD.search(said):
        return "bare"
    return None


def _is_code(said: str) -> bool:
    """Whether little is left beside the blocks, or all of it is Python that calls something of a REPL."""
    blocks = list(fences(said.replace("\r\n", "\n")))
    if blocks:
        within = sum(block.end - block.start for block in blocks)
        python = any(block.is_python or _CELL_CALL.search(block.body) for block in blocks)
        return python and len(said) - within < max(120, within // 4)
    if _CELL_CALL.search(said) is None:
        return False
    return parsed(said) is not None or bool(re.match(r"(?:print|FINAL|FINAL_VAR)\(", said.lstrip("`*_ ")))


def may_refuse(beginning: str) -> bool:
    """Whether a text that begins so may turn out to be a refusal when more of it is there.

    Example:
        >>> may_refuse("I'm so"), may_refuse("Revenue f")
        (True, False)
    """
    said = beginning.lstrip(" \t\r\n*_#>`\"'“«([").lower().replace("’", "'")
    if len(said) > _REFUSED_BY:
        return _REFUSAL.match(beginning) is not None and len(beginning) <= MOST_CHARS
    return any(said.startswith(head) or head.startswith(said) for head in _HEADS)


_REFUSED_BY = 240
"""Characters after which no text becomes a refusal that is none yet: softening words, an apology, and what it looks ahead."""
_HEADS = (
    "i 'm ", "i'm ", "i am ", "i can", "i won", "i will not", "i must", "i decline", "i apolog", "apolog", "sorry",
    "my apolog", "well", "ok", "unfortunately", "regrettably", "as a ai", "as an ai", "as an assistant", "as a large",
    "as a language", "as an language", "since an ai", "since a", "since i", "as ai", "as large", "as language",
    "this request", "this content", "this prompt", "this question", "that request", "that content", "that prompt",
    "that question", "your request", "your content", "your prompt", "your question", "the request", "the content",
    "the prompt", "the question", "es tut", "tut mir", "entschuldigung", "ich kann", "ich darf", "ich werde",
    "leider", "je suis", "désolé", "je ne", "malheureusement", "hélas", "lo siento", "lo lamento", "disculpa",
    "perdón", "no puedo", "no me es", "no estoy", "lamentablemente", "desafortunadamente", "sinto", "desculpe",
    "lamento", "peço", "eu não", "não posso", "não consigo", "infelizmente", "mi dispiace", "mi spiace", "spiacente",
    "non posso", "non sono", "purtroppo", "het spijt", "excuses", "ik kan", "helaas", "przykro", "przepraszam",
    "nie mogę", "niestety", "извините", "простите", "мне ", "прошу", "я не", "к сожалению", "на жаль", "вибачте",
    "перепрошую", "非常抱歉", "很抱歉", "真抱歉", "抱歉", "非常对不起", "对不起", "對不起", "但我", "我无法", "我無法", "我不能", "我没办法", "我沒辦法", "申し訳",
    "すみません", "恐れ入り", "죄송", "미안",
)  # fmt: skip
"""How the refusals above begin, and the softening words before them. Of a text that begins otherwise the first words can be
shown at once; one that is missing here costs a message that is withdrawn."""
