"""Street addresses and parts of addresses, as patterns for several countries."""

from curation.personal.pattern_parts import CAPITALISED, GLUE, MONTH, PHRASE, Rule

_NUMBER = r"\d{1,4}(?-i:[a-zA-Z])?(?:[-/]\d{1,4}(?-i:[a-z])?)?\b"
_UNIT = r"(?:apt|apartment|suite|flat|unit|ste|room|floor|fl|block|bldg)\b\.?\s*#?\d{1,5}[a-z]?\b"
_ZIP = r"\d{4,6}(?:-\d{3,4})?\b"
_LINE = rf"{PHRASE}(?:\s*,?\s+(?-i:[A-Z]{{1,3}}|nan)\b)?(?:,?\s+{_ZIP})?"
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
    rf"(?:(?:{_NUMBER},?\s+){{0,2}}(?:{_BEFORE}\s+(?:{GLUE}\s+|l'|d'|dell'|all')*{PHRASE}(?:,?\s+{_NUMBER})?"
    rf"|(?:{PHRASE}\s)?(?-i:{_WITHIN})(?:,?\s+{_NUMBER})?"
    rf"|(?:{PHRASE}\s)?{_NUMBERED},?\s+{_NUMBER}|{PHRASE}\s{_LOOSE}\s+{_NUMBER}\.?)"
    rf"|(?:{_NUMBER}\s+){{1,2}}{PHRASE}\s{_LOOSE}(?!\w))"
)
_MILITARY = (
    r"(?:\b(?:unit|psc|cmr|rr|hc)\s\d{2,5},?\s+box\s\d{2,5}"
    r"|\b(?:uss|usns|usnv|usav|usaf|uscgc|hms)\s\p{L}[\p{L}'\u2019-]*)"
    r"(?:\s*[,\n]?\s*(?:apo|fpo|dpo),?\s+(?:aa|ae|ap)(?:,?\s+\d{5}(?:-\d{4})?)?)?"
)

ADDRESSES = (
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
        rf"\b{_NUMBER},?\s+(?!{MONTH}\b){PHRASE},?\s+{_NUMBER}(?=\s*(?:[,.;?!\n)]|$|in\b|at\b|last\b)){_TAIL}",
        "digit",
        cased=False,
    ),
    Rule(
        "STREET_ADDRESS",
        0.5,
        rf"\b{_NUMBER},?\s+(?!{MONTH}\b){PHRASE},?\s+{_NUMBER}(?=\s*[,\n]){_TAIL}",
        "digit",
    ),
    Rule("STREET_ADDRESS", 0.6, _MILITARY, "box|us"),
    Rule(
        "STREET_ADDRESS",
        0.6,
        rf"\bthe\s(?:corner|intersection)\sof\s(?:{_STREET}|\d*\s?{PHRASE}(?:\s+{_NUMBER})?\.?)\sand\s(?:{_STREET}|\d*\s?{PHRASE}(?:\s{_ENGLISH})?)",
        "corner|intersection",
    ),
    Rule(
        "STREET_ADDRESS",
        0.6,
        rf"\b{CAPITALISED} and (?:{_STREET}|\d{{1,5}} {PHRASE}(?:\s{_ENGLISH})?|{PHRASE}\s{_ENGLISH}|{PHRASE} {_NUMBER})",
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
)
