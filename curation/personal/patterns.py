"""Personal data that a pattern finds without a model: addresses, titles, ages, numbers, companies.

All of them together read one window for at most some seconds; what takes longer ends the scan of
that text. Written for several countries; what is not covered stands in `curation.personal.detect.limits`.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from curation.personal.detect import Span

if TYPE_CHECKING:
    from regex import Pattern

SECONDS = 2.0
"""Seconds of processor time that all patterns together may take on one window."""

_STOP = (
    "a|about|after|all|also|am|an|and|any|are|as|at|be|because|been|before|but|by|can|card|cards|"
    "could|did|do|does|dollars?|don't|euros?|for|from|get|go|had|has|have|he|hello|her|here|hi|"
    "his|how|i|i'm|i've|if|in|into|is|it|its|just|last|like|me|mr|mrs|ms|my|need|no|not|now|of|on|"
    "or|our|out|please|pounds?|put|send|she|since|so|still|than|thank|thanks|that|the|their|them|"
    "then|there|they|this|to|too|up|us|want|was|we|were|what|when|where|which|while|who|why|will|"
    "with|would|yes|yet|you|your|gbp|usd|eur|am|pm"
)
_MONTH = r"(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]*"
_CAP = rf"(?!(?:{_STOP})\b)(?-i:\p{{Lu}}\p{{L}}{{0,3}}\.|[\p{{Lu}}][\p{{L}}\p{{M}}'\u2019-]*+)"
_GLUE = (
    r"(?:de|del|della|degli|delle|dei|di|da|do|dos|das|du|des|der|den|van|von|la|le|las|los|"
    r"el|of|the|u|na|nad|pod|av|zu|zum|am|sur|sous|en|aux?|y|e)"
)
_PHRASE = rf"{_CAP}(?:[ -](?:{_GLUE} ){{0,2}}{_CAP}){{0,4}}"
_NUMBER = r"\d{1,4}(?-i:[a-zA-Z])?(?:[-/]\d{1,4}(?-i:[a-z])?)?\b"
_UNIT = r"(?:apt|apartment|suite|flat|unit|ste|room|floor|fl|block|bldg)\b\.?\s*#?\d{1,5}[a-z]?\b"
_ZIP = r"\d{4,6}(?:-\d{3,4})?\b"
_LINE = rf"{_PHRASE}(?:\s*,?\s+(?-i:[A-Z]{{1,3}}|nan)\b)?(?:,?\s+{_ZIP})?"
_TAIL = (
    rf"(?:,?\s+{_UNIT})?"
    rf"(?:\s*[,\n]\s*(?:(?:{_ZIP}\s+)?{_LINE}|(?-i:[A-Z]{{1,3}}|nan)\b(?:,?\s+{_ZIP})?|(?:\d{{1,3}}\s+)?{_ZIP})){{0,4}}"
)
_AFTER_UNIT = rf"(?:\s*[,\n]?\s*{_LINE}){{0,3}}"
_ENGLISH = (
    r"(?:street|road|avenue|boulevard|lane|drive|court|place|square|terrace|crescent|highway|"
    r"parkway|freeway|turnpike|expressway|mews|gardens|heights|trail|"
    r"(?:st|ave|rd|blvd|ln|dr|ct|pl|sq|hwy|pkwy|cres)\b\.?|"
    r"(?-i:Way|Close|Circle|Loop|Row|Grove|Hill|Park|Route|Rise|Walk|Green|Quay|Gate)\b)"
)
_BEFORE = (
    r"(?:rue|avenue|boulevard|bd|allée|allee|chemin|impasse|quai|cours|place|route|via|viale|"
    r"piazza|piazzale|corso|vicolo|largo|strada|contrada|calle|c/|avenida|avda|av|plaza|paseo|"
    r"camino|carrer|carretera|ronda|rua|rúa|travessa|praça|praca|alameda|ulica|ul|aleja|aleje|"
    r"al|osiedle|os|plac|λεωφόρος|λεωφ|οδός|улица|ул|jalan|jl|an der|auf der)\.?"
)
_WITHIN = (
    r"\p{L}{2,}(?:stra(?:ß|ss)e|stra(?:ß|ss)|str\.|stasse|straat|laan|gatan|gaten|vägen|vegen|"
    r"veien|vejen|gracht|plantsoen|straede|stræde|steenweg)"
)
_NUMBERED = (
    r"\p{L}{2,}(?:weg|plein|singel|kade|dreef|gade|vej|gata|väg|vegur|vei|tie|katu|kuja|polku|"
    r"utca|gasse|platz|allee|damm|ring|baan|lei|hof|pad|tanav|tänav|tee|bulvaris|iela|gatvė|"
    r"gränd|stig|traeti|stræti)"
)
_LOOSE = (
    r"(?:utca|út|útja|tér|krt|körút|köz|u|sokak|caddesi|cad|sk|katu|tie|vej|vei|gate|weg|väg|"
    r"vägen|strasse|straße|street|str)\.?"
)
_STREET = (
    rf"(?:(?:{_NUMBER},?\s+){{0,2}}(?:{_BEFORE}\s+(?:{_GLUE}\s+|l'|d'|dell'|all')*{_PHRASE}(?:,?\s+{_NUMBER})?"
    rf"|(?:{_PHRASE}\s)?(?-i:{_WITHIN})(?:,?\s+{_NUMBER})?"
    rf"|(?:{_PHRASE}\s)?{_NUMBERED},?\s+{_NUMBER}|{_PHRASE}\s{_LOOSE}\s+{_NUMBER}\.?)"
    rf"|(?:{_NUMBER}\s+){{1,2}}{_PHRASE}\s{_LOOSE}(?!\w))"
)
_MILITARY = (
    r"(?:\b(?:unit|psc|cmr|rr|hc)\s\d{2,5},?\s+box\s\d{2,5}"
    r"|\b(?:uss|usns|usnv|usav|usaf|uscgc|hms)\s\p{L}[\p{L}'\u2019-]*)"
    r"(?:\s*[,\n]?\s*(?:apo|fpo|dpo),?\s+(?:aa|ae|ap)(?:,?\s+\d{5}(?:-\d{4})?)?)?"
)
_JOB = (
    r"(?:accountant|actor|actuary|administrator|adviser|advisor|agent|aide|analyst|architect|"
    r"artist|assembler|assistant|associate|attendant|attorney|auditor|baker|banker|barista|"
    r"bookkeeper|broker|builder|buyer|carpenter|cashier|chef|chemist|cleaner|clerk|coach|"
    r"consultant|controller|cook|coordinator|counsel|counselor|curator|dentist|designer|developer|"
    r"director|dispatcher|driver|economist|editor|electrician|engineer|estimator|examiner|"
    r"executive|farmer|firefighter|foreman|geologist|guard|hairdresser|helper|inspector|"
    r"installer|instructor|interpreter|janitor|journalist|judge|laborer|lawyer|lecturer|"
    r"librarian|lineman|machinist|manager|mechanic|nurse|officer|operator|painter|paralegal|"
    r"paramedic|pharmacist|photographer|physician|physicist|pilot|planner|plumber|porter|"
    r"president|producer|professor|programmer|psychologist|realtor|receptionist|recruiter|"
    r"repairer|reporter|representative|researcher|scientist|secretary|setter|sheriff|solicitor|"
    r"specialist|statistician|supervisor|surgeon|surveyor|tailor|teacher|technician|"
    r"technologist|teller|therapist|trainer|translator|treasurer|tutor|typist|underwriter|"
    r"veterinarian|waiter|waitress|weaver|welder|worker|writer|ceo|cfo|cto|coo)"
)
_TITLE = r"(?:mr|mrs|ms|mx|dr|prof|rev|hon|capt|sgt|lt|messrs)"
_KIN = (
    r"(?:daughter|son|wife|husband|mother|father|mom|mum|dad|sister|brother|boss|address|"
    r"account|phone|email|e-mail|number|card|birthday|house|name)"
)
_FORM = (
    r"(?:inc|llc|l\.l\.c|ltd|limited|corp|corporation|gmbh|ag|plc|llp|s\.?a\.?s?|s\.?r\.?l|bv|nv|"
    r"oy|ab|a/s|kg|pty)\b\.?"
)
_BODY = (
    r"(?-i:Group|Company|Co|Holdings?|Sons|University|Institute|Foundation|Association|Agency|"
    r"Technologies|Technology|Solutions|Systems|Partners|Associates|Hospital|School|College|Labs?|"
    r"Laboratories|Ventures|Capital|Media|Services|Consulting|Industries|International|"
    r"Enterprises|Networks?|Software|Analytics|Insurance|Airlines?|Pharmaceuticals|Club|Trust|"
    r"Council|Ministry|Department|Bank|Studios?|Records|Press|Magazine|Motors|Stores?)\b\.?"
)
_COMPANY = rf"{_CAP}(?:(?:,? (?:&|and|of|for|the|n')|,)? {_CAP}){{0,4}}?"
_NAME = rf"{_CAP}(?:[^\S\n](?:(?:van|von|de|der|den|del|della|di|da|dos|la|le|bin|al|el|ter)\s){{0,2}}{_CAP}){{0,3}}"
_DOB = r"(?:born(?: on)?|birth(?: ?day| ?date)?(?: is)?|dob|date of birth(?: is)?)\s*[:\-]?\s*"


@dataclass(frozen=True, slots=True)
class Rule:
    """One pattern: what it finds (the group `it`, or all of the match) and where it can be."""

    type: str
    score: float
    pattern: str
    needs: str = ""
    """A character class: "digit", or a word of which the text must hold one (split by |)."""
    cased: bool = True
    """Whether it also reads a text of which every word was capitalised."""


_RULES = (
    # Street addresses.
    Rule(
        "STREET_ADDRESS",
        0.6,
        rf"\b\d{{1,6}}[a-z]?,?\s+(?:[\p{{L}}\d'.-]+\s+){{1,4}}?{_ENGLISH}{_TAIL}",
        "digit",
    ),
    Rule(
        "STREET_ADDRESS",
        0.6,
        rf"\b\d{{1,6}}[a-z]?,?\s+(?:[\p{{L}}\d'./-]+,?\s+){{1,6}}?{_UNIT}{_AFTER_UNIT}",
        "digit",
    ),
    Rule("STREET_ADDRESS", 0.6, rf"\b{_UNIT}{_AFTER_UNIT}", "digit"),
    Rule("STREET_ADDRESS", 0.6, r"\b(?:\d{1,5},?\s)?p\.?\s?o\.?\s?box\s\d{1,6}\b" + _TAIL, "digit"),
    Rule("STREET_ADDRESS", 0.6, rf"\b{_STREET}{_TAIL}", "digit"),
    Rule(
        "STREET_ADDRESS",
        0.6,
        rf"\b{_STREET}{_TAIL}",
        "rue |avenue|avenida|boulevard|calle |piazza|via |strasse|straße|straat|gatan|vägen|ulica",
    ),
    Rule(
        "STREET_ADDRESS",
        0.6,
        rf"\b{_NUMBER},?\s+(?!{_MONTH}\b){_PHRASE},?\s+{_NUMBER}(?=\s*(?:[,.;?!\n)]|$|in\b|at\b|last\b)){_TAIL}",
        "digit",
        cased=False,
    ),
    Rule(
        "STREET_ADDRESS",
        0.5,
        rf"\b{_NUMBER},?\s+(?!{_MONTH}\b){_PHRASE},?\s+{_NUMBER}(?=\s*[,\n]){_TAIL}",
        "digit",
    ),
    Rule("STREET_ADDRESS", 0.6, _MILITARY, "box|us"),
    Rule(
        "STREET_ADDRESS",
        0.6,
        rf"\bthe\s(?:corner|intersection)\sof\s(?:{_STREET}|\d*\s?{_PHRASE}(?:\s+{_NUMBER})?\.?)\sand\s(?:{_STREET}|\d*\s?{_PHRASE}(?:\s{_ENGLISH})?)",
        "corner|intersection",
    ),
    Rule(
        "STREET_ADDRESS",
        0.6,
        rf"\b{_CAP} and (?:{_STREET}|\d{{1,5}} {_PHRASE}(?:\s{_ENGLISH})?|{_PHRASE}\s{_ENGLISH}|{_PHRASE} {_NUMBER})",
        " and ",
        cased=False,
    ),
    Rule(
        "STREET_ADDRESS",
        0.6,
        r"(?<=\b(?:address\s?(?:is|:)|live at|lives at|moved to|sent? to|deliver(?:ed)? to)\s+)"
        r"\d{1,6}[a-z]?(?:,?\s(?-i:[\p{Lu}\d])[\p{L}\d'/-]*(?:\s(?:de|of|la|the))?){1,8}",
        "digit",
    ),
    # Parts of an address that stand alone.
    Rule(
        "LOCATION",
        0.5,
        rf"(?<=\b(?:zip|postal|post)\s?codes?(?:\s+(?:is|was|of))?\s*[:#-]?\s*)(?:{_ZIP}|\d{{3}}\b|[a-z]{{1,2}}\d[a-z\d]?\s?\d[a-z]{{2}}\b)",
        "code",
    ),
    Rule(
        "LOCATION",
        0.5,
        r"\b(?-i:[A-Z]{1,2}\d[A-Z\d]?\s\d[A-Z]{2}|[A-Z]\d[A-Z]\s\d[A-Z]\d)\b",
        "digit",
        cased=False,
    ),
    Rule(
        "LOCATION",
        0.5,
        r"\b(?-i:(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY]))\s\d{5}(?:-\d{4})?\b",
        "digit",
        cased=False,
    ),
    # People.
    Rule(
        "TITLE",
        0.6,
        rf"(?<!\w){_TITLE}\.(?=\s)|(?<!\w)(?:{_TITLE}|miss|professor|sir|madam|lady|lord|dame|sister|father)(?=\s(?-i:\p{{Lu}}))",
        "mr|ms|mx|dr|prof|rev|hon|capt|sgt|lt|mess|miss|sir|mad|lad|lord|dame|sister|father",
        cased=False,
    ),
    Rule(
        "TITLE",
        0.6,
        rf"(?<!\w){_TITLE}\.(?=\s)|(?<!\w)(?:mr|mrs|ms|dr)(?=\s)",
        "mr|ms|mx|dr|prof|rev|hon|capt|sgt|lt|mess",
    ),
    Rule(
        "TITLE",
        0.5,
        r"(?<=\p{L},?\s)(?-i:PhD|Ph\.D\.|MD|DDS|DVM|Esq\.?|Jr\.?|Sr\.|III|MBA)(?!\w)",
        cased=False,
    ),
    Rule(
        "PERSON",
        0.6,
        rf"(?<=\b(?:{_TITLE}\.?|miss|professor)\s+){_NAME}",
        "mr|ms|mx|dr|prof|rev|hon|capt|sgt|lt|mess|miss",
        cased=False,
    ),
    Rule(
        "PERSON",
        0.6,
        rf"(?<=\b{_TITLE}\.?\s+){_CAP}(?:\s{_CAP})?",
        "mr|ms|mx|dr|prof|rev|hon|capt|sgt|lt|mess",
    ),
    Rule(
        "PERSON",
        0.6,
        rf"(?<=\b(?:my name is|my name's|name:|called|signed|named|named (?:him|her)|(?:maiden|last|first|full|middle|family) name (?:is|was)|surname is|sincerely,|regards,)\s+){_NAME}",
        "name|called|signed|sincerely|regards",
        cased=False,
    ),
    Rule(
        "PERSON",
        0.6,
        rf"(?<=\b(?:my name is|my name's|(?:maiden|last|first|full|family) name is|surname is)\s+){_CAP}(?:\s{_CAP})?",
        "name",
    ),
    Rule(
        "PERSON",
        0.5,
        rf"(?<=(?:^|[.!?]\s)(?:hi|hello|hey|dear)\s){_NAME}(?=\s*[,.!:\n])",
        "hi|hello|hey|dear",
        cased=False,
    ),
    Rule("PERSON", 0.5, rf"\b{_NAME}(?='s\s{_KIN}\b)", "'s", cased=False),
    # Ages and jobs.
    Rule(
        "AGE",
        0.6,
        r"\b\d{1,3}(?=[\s-]*(?:years?|yrs?|months?|weeks?)[\s-]*(?:old|of age)\b|\s?(?:y/o|yo|y\.o)\b)",
        "digit",
    ),
    Rule(
        "AGE",
        0.6,
        r"(?<=\b(?:age[ds]?(?:\s(?:of|is|was))?:?|turn(?:s|ed|ing)?)\s)\d{1,3}\b(?!\s*(?:%|days|dollars|euros|pounds|hours))",
        "digit",
    ),
    Rule(
        "AGE",
        0.5,
        r"(?<=\b(?:i'm|i am|he is|he's|she is|she's|they're|who is)\s)\d{1,3}(?=\s*(?:[,.;!?]|$|and\b|now\b|today\b))",
        "digit",
    ),
    Rule(
        "TITLE",
        0.5,
        rf"(?<=^[ \t]*)(?:[\p{{L}}/&-]+,? ){{0,5}}?{_JOB}s?(?=[ \t]*$)",
        "\n",
        cased=False,
    ),
    Rule(
        "TITLE",
        0.5,
        rf"(?<=\b(?:works?|worked|working|employed|hired|promoted|serves|served) (?:as|to) (?:an? |the )?|\b(?:job(?: title)?|position|occupation|profession) (?:is|was):? (?:an? |the )?|\b(?:job title|position|occupation|profession):\s?|\bi'?(?: a)?m an? )(?:[\p{{L}}-]+ ){{0,3}}?{_JOB}\b",
        "work|emplo|hired|promot|serve|job|position|occup|profess|i'm a|i am a|im a",
    ),
    # Companies.
    Rule(
        "ORGANIZATION",
        0.6,
        rf"\b{_COMPANY},? {_FORM}(?!\w)",
        "inc|llc|l.l|ltd|limited|corp|gmbh|ag|plc|llp|s.a|sa|srl|s.r|bv|nv|oy|ab|a/s|kg|pty",
        cased=False,
    ),
    Rule(
        "ORGANIZATION",
        0.6,
        r"\b(?:\p{L}[\p{L}&-]+ ){1,2}(?:inc|llc|ltd|corp|gmbh|plc|llp)\b\.?",
        "inc|llc|ltd|corp|gmbh|plc|llp",
        cased=False,
    ),
    Rule(
        "ORGANIZATION", 0.5, rf"\b{_COMPANY} (?:(?:&|and) )?{_BODY}(?: of {_PHRASE})?", cased=False
    ),
    Rule(
        "ORGANIZATION",
        0.5,
        rf"(?<=\b(?:work(?:s|ed|ing)? (?:at|for)|employed (?:by|at)|employee of|employer is|employer:|company(?: is)?(?: called)?:?|(?:ceo|cfo|cto|founder|president|chairman|director) (?:of|at)|interview (?:at|with)) ){_COMPANY}(?=\s*(?:[,.;:!?\n)]|$)|\s(?-i:\p{{Ll}}|I\b))",
        "work|emplo|company|ceo|cfo|cto|founder|president|chairman|director|interview",
        cased=False,
    ),
    # Numbers.
    Rule(
        "PHONE_NUMBER",
        0.55,
        r"(?<![\w.+-])(?:\+|00)[1-9]\d{0,2}[ ().-]{0,2}\d(?:[ ().-]{0,2}\d){5,12}(?:\s?(?:x|ext\.?)\s?\d{1,6})?(?![\w-])",
        "digit",
    ),
    Rule(
        "PHONE_NUMBER",
        0.5,
        r"(?<![\w.+-])(?:\+?\d{1,3}[-. ])?(?:\(\d{2,5}\)\s?|\d{3}[-. ])\d{3}[-. ]\d{3,4}(?:\s?(?:x|ext\.?)\s?\d{1,6})?(?![\w-])",
        "digit",
    ),
    Rule(
        "PHONE_NUMBER",
        0.5,
        r"(?<![\w.+-])\(0?\d{1,4}\)[ .-]?\d{2,4}(?:[ .-]?\d{2,4}){1,3}(?:\s?(?:x|ext\.?)\s?\d{1,6})?(?![\w-])",
        "digit",
    ),
    Rule(
        "PHONE_NUMBER",
        0.5,
        r"(?<![\w.+/-])0\d{1,4}[-/ .]\d{2,4}(?:[- .]?\d{2,4}){1,3}(?![\w-])",
        "digit",
    ),
    Rule(
        "PHONE_NUMBER",
        0.45,
        r"(?<![\w.+/-])\d{2,4}[ -]\d{3}[ -]\d{2}[ -]\d{2}(?![\w-])|(?<![\w.+/-])\d{2}(?:[ ]\d{2}){3,4}(?![\w-])",
        "digit",
    ),
    Rule(
        "PHONE_NUMBER",
        0.5,
        r"(?<=\b(?:phone|telephone|tel|mobile|cell|call(?: me)?(?: (?:at|on))?|fax|whatsapp|text(?: me)?(?: (?:at|on))?)(?: (?:number|no\.?))?(?: is| was)?\s?[:.]?\s+)\+?\(?\d[\d ().-]{5,16}\d(?:\s?x\d{1,6})?(?!\w)",
        "digit",
    ),
    Rule("US_SSN", 0.5, r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])", "digit"),
    Rule(
        "CREDIT_CARD",
        0.45,
        r"(?<![\w.-])(?:\d{4}[ -]){3}\d{4}(?![\w-])|(?<![\w.-])3\d{3}[ -]\d{6}[ -]\d{5}(?![\w-])",
        "digit",
    ),
    Rule(
        "CREDIT_CARD",
        0.45,
        r"(?<=\bcard(?: (?:number|no\.?|#))?(?: is| was)?\s?[:#]?\s+)\d{13,19}\b",
        "card",
    ),
    Rule(
        "IBAN_CODE",
        0.45,
        r"(?<=\biban(?: (?:number|code))?(?: is| was)?\s?[:#]?\s+)[a-z]{2}\d{2}(?:\s?[a-z\d]{4}){2,7}(?:\s?[a-z\d]{1,4})?\b",
        "iban",
    ),
    Rule("DATE_TIME", 0.6, r"\b\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2})?\b", "digit"),
    Rule(
        "DATE_TIME",
        0.6,
        rf"\b\d{{1,2}}(?:st|nd|rd|th)?(?:\s+of)?[ -]{_MONTH}\.?(?:,?[ -]\d{{2,4}})?\b|\b{_MONTH}\.?\s+\d{{1,2}}(?:st|nd|rd|th)?\b(?:,?\s+\d{{4}}\b)?|\b\d{{1,4}}[./-]\d{{1,2}}[./-]\d{{2,4}}\b",
        "digit",
    ),
    Rule(
        "DATE_TIME",
        0.5,
        rf"(?<=\b{_DOB})(?:\d[\d./ -]{{2,9}}\d|{_MONTH}\.? ?\d{{0,4}})",
        "born|birth|dob",
    ),
)


def spans(text: str, *, cased: bool = False, seconds: float = SECONDS) -> Iterator[Span]:
    """What the patterns find in one window; `cased` says that its capitals are not the writer's.

    Raises:
        TimeoutError: the patterns took longer than `seconds` of processor time.
    """
    rules = _compiled()  # the first time it takes seconds, which are not the text's fault
    end_by = time.thread_time() + seconds
    low = text.casefold()
    digits = any(map(str.isdigit, low))
    for rule, possible, pattern in rules:
        if (cased and not rule.cased) or not possible(low, digits):
            continue
        left = end_by - time.thread_time()
        if left <= 0:
            raise TimeoutError
        for match in pattern.finditer(text, timeout=left):
            if match.start() < match.end():
                yield Span(match.start(), match.end(), rule.type, rule.score)


@cache
def _compiled() -> "tuple[tuple[Rule, Callable[[str, bool], bool], Pattern[str]], ...]":
    import regex

    flags = regex.IGNORECASE | regex.MULTILINE
    return tuple(
        (rule, _possible(rule.needs), regex.compile(rule.pattern, flags)) for rule in _RULES
    )


def _possible(needs: str) -> Callable[[str, bool], bool]:
    """Whether a text can match at all, judged by what every match must hold."""
    if not needs:
        return lambda _low, _digits: True
    if needs == "digit":
        return lambda _low, digits: digits
    terms = needs.split("|")
    return lambda low, _digits: any(word in low for word in terms)
