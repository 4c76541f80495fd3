"""Numbers of telephones, cards and accounts, and dates, as patterns."""

from curation.personal.pattern_parts import MONTH, Rule

_DOB = r"(?:born(?: on)?|birth(?: ?day| ?date)?(?: is)?|dob|date of birth(?: is)?)\s*[:\-]?\s*"

NUMBERS = (
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
        rf"\b\d{{1,2}}(?:st|nd|rd|th)?(?:\s+of)?[ -]{MONTH}\.?(?:,?[ -]\d{{2,4}})?\b|\b{MONTH}\.?\s+\d{{1,2}}(?:st|nd|rd|th)?\b(?:,?\s+\d{{4}}\b)?|\b\d{{1,4}}[./-]\d{{1,2}}[./-]\d{{2,4}}\b",
        "digit",
    ),
    Rule(
        "DATE_TIME",
        0.5,
        rf"(?<=\b{_DOB})(?:\d[\d./ -]{{2,9}}\d|{MONTH}\.? ?\d{{0,4}})",
        "born|birth|dob",
    ),
)
