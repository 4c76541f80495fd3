"""Names that a list or their form gives away: countries, first names, words no dictionary knows.

The first names are those of the US census of 1990 (`first_names.txt`, in the public domain), less
short ones that are also words. They favour people with English or Spanish names.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path

from curation.detect import Span

_COUNTRIES = (
    "Afghanistan|Albania|Algeria|American Samoa|Andorra|Angola|Anguilla|Antarctica|"
    "Antigua and Barbuda|Argentina|Armenia|Aruba|Australia|Austria|Azerbaijan|Bahamas|Bahrain|"
    "Bangladesh|Barbados|Belarus|Belgium|Belize|Benin|Bermuda|Bhutan|Bolivia|Bosnia|"
    "Bosnia and Herzegovina|Botswana|Brazil|British Virgin Islands|Brunei|Bulgaria|Burkina Faso|"
    "Burma|Burundi|Cambodia|Cameroon|Canada|Cape Verde|Cabo Verde|Cayman Islands|"
    "Central African Republic|Chile|People's Republic of China|China|Colombia|Comoros|"
    "Democratic Republic of the Congo|Republic of the Congo|Congo|Cook Islands|Costa Rica|"
    "Côte d'Ivoire|Ivory Coast|Croatia|Cuba|Curaçao|Cyprus|Czech Republic|Czechia|Denmark|Djibouti|"
    "Dominica|Dominican Republic|East Timor|Ecuador|Egypt|El Salvador|England|Equatorial Guinea|"
    "Eritrea|Estonia|Eswatini|Swaziland|Ethiopia|Falkland Islands|Faroe Islands|Fiji|Finland|"
    "France|French Guiana|French Polynesia|Gabon|Gambia|Germany|Ghana|Gibraltar|Greece|Greenland|"
    "Grenada|Guadeloupe|Guam|Guatemala|Guernsey|Guinea-Bissau|Guyana|Haiti|Holy See|Honduras|"
    "Hong Kong|Hungary|Iceland|India|Indonesia|Iran|Iraq|Ireland|Northern Ireland|"
    "Republic of Ireland|Isle of Man|Israel|Italy|Jamaica|Japan|Kazakhstan|Kenya|Kiribati|"
    "North Korea|South Korea|Korea|Kosovo|Kuwait|Kyrgyzstan|Laos|Latvia|Lebanon|Lesotho|Liberia|"
    "Libya|Liechtenstein|Lithuania|Luxembourg|Macao|Macau|North Macedonia|Macedonia|Madagascar|"
    "Malawi|Malaysia|Maldives|Malta|Marshall Islands|Martinique|Mauritania|Mauritius|Mayotte|"
    "Mexico|Micronesia|Federated States of Micronesia|Moldova|Monaco|Mongolia|Montenegro|"
    "Montserrat|Morocco|Mozambique|Myanmar|Namibia|Nauru|Nepal|Kingdom of the Netherlands|"
    "Netherlands|Netherlands Antilles|New Caledonia|New Zealand|Nicaragua|Nigeria|Niue|"
    "Norfolk Island|Northern Mariana Islands|Norway|Pakistan|Palau|Palestine|"
    "State of Palestine|Panama|Papua New Guinea|Paraguay|Peru|Philippines|Poland|Portugal|"
    "Puerto Rico|Qatar|Réunion|Romania|Russia|Russian Federation|Rwanda|Saint Helena|"
    "Saint Kitts and Nevis|Saint Lucia|Saint Martin|Saint Vincent and the Grenadines|Samoa|"
    "San Marino|São Tomé and Príncipe|Saudi Arabia|Scotland|Senegal|Serbia|Seychelles|"
    "Sierra Leone|Singapore|Sint Maarten|Slovakia|Slovenia|Solomon Islands|Somalia|South Africa|"
    "South Sudan|Spain|Sri Lanka|Sudan|Suriname|Sweden|Switzerland|Syria|Taiwan|Tajikistan|"
    "Tanzania|Thailand|Timor-Leste|Tokelau|Tonga|Trinidad and Tobago|Tunisia|Turkmenistan|"
    "Tuvalu|Türkiye|Uganda|Ukraine|United Arab Emirates|United Kingdom|Great Britain|"
    "United States|United States of America|Uruguay|Uzbekistan|Vanuatu|Vatican City|Venezuela|"
    "Vietnam|Virgin Islands|Wales|Western Sahara|Yemen|Zambia|Zimbabwe|"
    "Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Hawaii|"
    "Idaho|Illinois|Indiana|Iowa|Kansas|Kentucky|Louisiana|Maryland|Massachusetts|Michigan|"
    "Minnesota|Mississippi|Missouri|Montana|Nebraska|Nevada|New Hampshire|New Jersey|New Mexico|"
    "New York|North Carolina|North Dakota|Ohio|Oklahoma|Oregon|Pennsylvania|Rhode Island|"
    "South Carolina|South Dakota|Tennessee|Texas|Utah|Vermont|West Virginia|Wisconsin|Wyoming|"
    "Ontario|Quebec|Québec|Manitoba|Saskatchewan|Alberta|British Columbia|Nova Scotia|"
    "New Brunswick|Newfoundland|Queensland|New South Wales|Tasmania|Bavaria|Catalonia"
)
_ALSO_WORDS = "Chad|Georgia|Guinea|Jersey|Jordan|Mali|Niger|Oman|Togo|Turkey|Maine|Washington"
_PLACE = re.compile(
    rf"(?<!\w)(?:(?i:{'|'.join(sorted(_COUNTRIES.split('|'), key=len, reverse=True))})"
    rf"|{_ALSO_WORDS})(?!\w)"
)
_ALSO_WORDS_LOW = re.compile(
    rf"(?<=\bin |\bto )(?:{_ALSO_WORDS.casefold()})(?!\w)|(?<=\bfrom )(?:{_ALSO_WORDS.casefold()})(?!\w)"
)
_WORD = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*")
_AMBIGUOUS = frozenset(
    (
        "alma amber angel april art ash august autumn bill blossom brook buck bud candy carol case "
        "cash charity chase cherry chris christian christmas clay cliff crystal daisy dale dawn dean "
        "delicia dollar dominic don drew dusty earl early earnest eve faith fern forest frank gene "
        "ginger glory golden grace grant hank harmony heath holly honey hope hunter iris ivory ivy "
        "jade jewel joy june justice king kitty lane laurel lance lily long love loyal luck mark "
        "marina mary-kate max may mercy melody merry miles miracle misty myrtle nickel noble olive "
        "page pat patience pearl penny pepper piper prince princess precious queen rain ray reed "
        "rich robin rocky rose ruby rusty sage sandy season shelly sherry star sterling stone storm "
        "sue summer sunday sunny sunshine tawny temple terra tiny tommy-gun trinity tuesday tulip "
        "twila val velvet victor victory violet virginia wade ward will willow winter young zion "
        "america asia britain chance destiny dick genesis german kelly-green london moses porsche "
        "paris royal scarlet scottie rod art cherish carry major marine hope van"
    ).split()
)
_CALENDAR = (
    "january february march april may june july august september october november december "
    "monday tuesday wednesday thursday friday saturday sunday "
)
_FUNCTION = frozenset(
    (
        _CALENDAR + "a about above after again all almost also although always am an and another any "
        "anybody anyone anything anyway are aren't around as at be became because been before being "
        "below between both but by can can't cannot could couldn't did didn't do does doesn't doing "
        "don't done down during each either else ever every everyone everything few for from further "
        "get gets getting give given go goes going gone got had hadn't has hasn't have haven't having "
        "he he'll he's hello her here here's hers herself hey hi him himself his how how's however i "
        "i'd i'll i'm i've if in into is isn't it it'll it's its itself just let let's like made make "
        "many may maybe me might more most much must my myself neither never no nobody none nor not "
        "nothing now of off ok okay on once one only onto or other others our ours ourselves out over "
        "own please put same say says see several shall she she's should shouldn't since so some "
        "somebody someone something still such sure take than thank thanks that that's the their "
        "theirs them themselves then there there's therefore these they they'll they're they've "
        "thing this those though through thus to together too toward twice under until up upon us "
        "use very via want was wasn't we we'd we'll we're we've well were weren't what what's "
        "whatever when when's whenever where where's whether which while who who's whoever whom "
        "whose why why's will with within without won't would wouldn't yes yet you you'd you'll "
        "you're you've your yours yourself dear sir madam mr mrs ms dr "
        "im ive id dont didnt doesnt cant wont isnt wasnt whats thats wheres hows youre theyre lets "
        "havent hasnt couldnt wouldnt shouldnt arent alot gonna wanna asap btw fyi etc eg ie pls plz "
        "hiya hii thx thnx info online offline email e-mail website internet blog wifi username login "
        "logins signup faq app apps sms pdf url html json csv api emoji smartphone iphone ipad android "
        "bot user agent customer assistant subject re fwd"
    ).split()
)
_LEADS = re.compile(r"(?:\b(?:in|from|near|to|at|of|around|leaving|visit(?:ing)?)\s+)$", re.IGNORECASE)
_HERE = re.compile(r"\b(?:in|from|near|to|visit|visiting)\s+$", re.IGNORECASE)
_OPENS = re.compile(r"(?:^|[.!?;\n\"“”()]\s*|^\W+|\?\?\?\s|[-–—]\s|\\n)$")
_FIRST = re.compile(r"^[^\w]*([^\W\d_]{4,})(?=(?:'s|,)? (?:is|was|has|had|and|said|says|wants|works|lives)\b)")
_LINE = re.compile(
    r"^[ \t?*>#-]*((?:[A-Z0-9][\w'’.-]*[^\S\n](?:(?:&|of|and|n'|the|for)[^\S\n])?){1,4}[A-Z][\w'’.-]*)[ \t]*$",
    re.MULTILINE,
)
_TRIO = re.compile(r"\b([A-Z][a-zà-ž]+), ([A-Z][a-zà-ž]+) and ([A-Z][a-zà-ž]+)\b")
_GREETS = frozenset("regards wishes sincerely faithfully hello dear subject re best kind note".split())
_SUFFIXES = ("'s", "’s", "s'", "es", "s", "ed", "d", "ing", "ly", "er", "ers", "r", "n't", "al", "able")


def found(text: str, known: Callable[[str], bool], *, desk: frozenset[str]) -> Iterator[Span]:
    """Names in one window: `known` says whether a word, in lower case, is in the dictionary."""
    for pattern in (_PLACE, _ALSO_WORDS_LOW):
        for match in pattern.finditer(text):
            yield Span(match.start(), match.end(), "LOCATION", 0.6)
    words = list(_WORD.finditer(text))
    if text.islower():
        yield from _lower(text, words, known, desk)
    elif not text.isupper():
        yield from _lines(text, desk)
        yield from _trios(text)
        yield from _capitalised(text, words, known, desk)


def names(
    words: str, known: Callable[[str], bool], desk: frozenset[str], *, recased: bool
) -> Iterator[tuple[int, int]]:
    """The parts of what the model calls a name that can be one: start and end of each.

    Neither a line break nor, where the capitals are ours, an everyday word is part of a name.
    """
    phrase = len(_WORD.findall(words)) > 1
    for line in re.finditer(r"[^\n]+", words):
        parts = [line.span()]
        if recased:
            parts = list(_between_words(words, line.start(), line.end(), desk))
        for start, end in parts:
            low = [word[0].casefold() for word in _WORD.finditer(words, start, end)]
            everyday = recased and (phrase or _inflected("".join(low))) and all(
                known(one) and one not in first_names() for one in low
            )
            if low and low[0] in ("the", "a", "an") and len(low) > 1:
                start += len(low[0]) + 1
            if not everyday or _PLACE.search(words, start, end):
                yield start, end


def _between_words(words: str, start: int, end: int, desk: frozenset[str]) -> Iterator[tuple[int, int]]:
    """What stands between the function words of a phrase."""
    begun, last = -1, start
    for word in _WORD.finditer(words, start, end):
        low = word[0].casefold()
        if (low in _FUNCTION and low not in ("of", "and")) or low in desk:
            if begun >= 0:
                yield begun, last
            begun = -1
        elif begun < 0:
            begun = word.start()
        last = word.end()
    if begun >= 0:
        yield begun, max(last, end)
    elif start == last:
        yield start, end


def _inflected(word: str) -> bool:
    return word.endswith(("ed", "ing", "ly"))


def _lines(text: str, desk: frozenset[str]) -> Iterator[Span]:
    """Lines of a few capitalised words alone, as in a letterhead or a signature."""
    if "\n" not in text.strip():
        return
    for line in _LINE.finditer(text):
        words = line[1].casefold().replace("&", " ").split()
        if not any(word in _FUNCTION or word in desk or word in _GREETS for word in words):
            yield Span(line.start(1), line.end(1), "ORGANIZATION", 0.45)


def _trios(text: str) -> Iterator[Span]:
    """Firms named after three people, "Reed, Cole and Park"."""
    for trio in _TRIO.finditer(text):
        if not first_names() & {part.casefold() for part in trio.groups()}:
            yield Span(trio.start(), trio.end(), "ORGANIZATION", 0.5)


def _capitalised(
    text: str, words: Sequence[re.Match[str]], known: Callable[[str], bool], desk: frozenset[str]
) -> Iterator[Span]:
    at = 0
    while at < len(words):
        word = words[at]
        run = at
        while run < len(words) and _nameish(text, words, run, at, desk):
            run += 1
        if run == at:
            at += 1
            continue
        names = _without_job(words[at:run], known)
        start, end = names[0].start(), names[-1].end()
        if _convincing(text, names, known):
            place = _LEADS.search(text, max(0, start - 12), start)
            yield Span(start, end, "LOCATION" if place else "PERSON", 0.5)
        at = run


def _without_job(
    names: Sequence[re.Match[str]], known: Callable[[str], bool]
) -> Sequence[re.Match[str]]:
    """Without dictionary words before a first name: "Producer Ana Lopez"."""
    low = [name[0].casefold() for name in names]
    first = next((i for i, one in enumerate(low) if one in first_names() or not known(one)), 0)
    return names[first:]


def _nameish(
    text: str, words: Sequence[re.Match[str]], index: int, first: int, desk: frozenset[str]
) -> bool:
    word = words[index][0]
    if not word[0].isupper() or len(word) < 2 or (word.isupper() and len(word) < 5):
        return False
    low = word.casefold()
    if low in _FUNCTION or low in desk or low.removesuffix("'s") in desk:
        return False
    gap = text[words[index - 1].end() : words[index].start()]
    return index == first or gap in (" ", "-")


def _convincing(
    text: str, names: Sequence[re.Match[str]], known: Callable[[str], bool]
) -> bool:
    """Whether capitalised words are a name, and not just the first word of a sentence."""
    low = [name[0].casefold().removesuffix("'s").removesuffix("’s") for name in names]
    opens = _OPENS.search(text, max(0, names[0].start() - 6), names[0].start()) is not None
    listed = [one in first_names() for one in low]
    if not opens:
        return listed[0] or not all(map(known, low))
    if listed[0] and low[0] not in _AMBIGUOUS:
        return True
    return len(low[0]) > 3 and not known(low[0]) and (
        len(low) > 1 or re.match(r"(?:['’]s)?,?\s+[a-z]|\s+and\s|\s*(?:\n|$)|:|, [A-Z]", text[names[0].end() :]) is not None
    )


def _lower(
    text: str, words: Sequence[re.Match[str]], known: Callable[[str], bool], desk: frozenset[str]
) -> Iterator[Span]:
    """First names, and unknown words after "in" or "from", where nobody wrote capitals."""
    opening = _FIRST.search(text)
    if opening and _unknown(opening[1], known, desk):
        yield Span(opening.start(1), opening.end(1), "PERSON", 0.45)
    for at, word in enumerate(words):
        low = word[0].removesuffix("'s").removesuffix("’s")
        if len(low) < 3 or low in _FUNCTION or low in desk:
            continue
        if low in first_names() and low not in _AMBIGUOUS:
            end = word.start() + len(low)
            after = words[at + 1] if at + 1 < len(words) else None
            if after and text[word.end() : after.start()] == " " and _unknown(after[0], known, desk):
                end = after.end()
            yield Span(word.start(), end, "PERSON", 0.5)
        elif _unknown(low, known, desk) and _HERE.search(text, max(0, word.start() - 10), word.start()):
            yield Span(word.start(), word.start() + len(low), "LOCATION", 0.45)


def _unknown(word: str, known: Callable[[str], bool], desk: frozenset[str]) -> bool:
    return len(word) > 3 and word not in _FUNCTION and word not in desk and not known(word)


def dictionary(words: frozenset[str]) -> Callable[[str], bool]:
    """Whether a word or the word it is made from is in a dictionary."""

    @lru_cache(maxsize=20_000)
    def known(word: str) -> bool:
        if word in words or word in _FUNCTION:
            return True
        if "-" in word:
            return all(part in words or len(part) < 3 for part in word.split("-"))
        stems = {word[: -len(end)] for end in _SUFFIXES if word.endswith(end)}
        stems |= {stem + "e" for stem in stems} | {stem[:-1] for stem in stems if stem[-1:] == stem[-2:-1]}
        if word.endswith(("ies", "ied")):
            stems.add(word[:-3] + "y")
        return any(len(stem) > 2 and stem in words for stem in stems)

    return known


@cache
def first_names() -> frozenset[str]:
    """Given names in lower case."""
    file = Path(__file__).with_name("first_names.txt")
    return frozenset(file.read_text(encoding="utf-8").split())
