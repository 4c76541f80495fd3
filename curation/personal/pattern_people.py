"""People, their titles, ages and jobs, and companies, as patterns."""

from curation.personal.pattern_parts import CAPITALISED, PHRASE, Rule

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
_NAME = rf"{CAPITALISED}(?:[^\S\n](?:(?:van|von|de|der|den|del|della|di|da|dos|la|le|bin|al|el|ter)\s){{0,2}}{CAPITALISED}){{0,3}}"
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
_COMPANY = rf"{CAPITALISED}(?:(?:,? (?:&|and|of|for|the|n')|,)? {CAPITALISED}){{0,4}}?"

PEOPLE = (
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
        rf"(?<=\b{_TITLE}\.?\s+){CAPITALISED}(?:\s{CAPITALISED})?",
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
        rf"(?<=\b(?:my name is|my name's|(?:maiden|last|first|full|family) name is|surname is)\s+){CAPITALISED}(?:\s{CAPITALISED})?",
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
        "ORGANIZATION", 0.5, rf"\b{_COMPANY} (?:(?:&|and) )?{_BODY}(?: of {PHRASE})?", cased=False
    ),
    Rule(
        "ORGANIZATION",
        0.5,
        rf"(?<=\b(?:work(?:s|ed|ing)? (?:at|for)|employed (?:by|at)|employee of|employer is|employer:|company(?: is)?(?: called)?:?|(?:ceo|cfo|cto|founder|president|chairman|director) (?:of|at)|interview (?:at|with)) ){_COMPANY}(?=\s*(?:[,.;:!?\n)]|$)|\s(?-i:\p{{Ll}}|I\b))",
        "work|emplo|company|ceo|cfo|cto|founder|president|chairman|director|interview",
        cased=False,
    ),
)
