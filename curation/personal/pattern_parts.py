"""What a pattern of the scan is, and what the patterns for addresses, people and numbers share."""

from dataclasses import dataclass

_STOP = (
    "a|about|after|all|also|am|an|and|any|are|as|at|be|because|been|before|but|by|can|card|cards|"
    "could|did|do|does|dollars?|don't|euros?|for|from|get|go|had|has|have|he|hello|her|here|hi|"
    "his|how|i|i'm|i've|if|in|into|is|it|its|just|last|like|me|mr|mrs|ms|my|need|no|not|now|of|on|"
    "or|our|out|please|pounds?|put|send|she|since|so|still|than|thank|thanks|that|the|their|them|"
    "then|there|they|this|to|too|up|us|want|was|we|were|what|when|where|which|while|who|why|will|"
    "with|would|yes|yet|you|your|gbp|usd|eur|am|pm"
)
MONTH = r"(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]*"
CAPITALISED = (
    rf"(?!(?:{_STOP})\b)(?-i:\p{{Lu}}\p{{L}}{{0,3}}\.|[\p{{Lu}}][\p{{L}}\p{{M}}'\u2019-]*+)"
)
GLUE = (
    r"(?:de|del|della|degli|delle|dei|di|da|do|dos|das|du|des|der|den|van|von|la|le|las|los|"
    r"el|of|the|u|na|nad|pod|av|zu|zum|am|sur|sous|en|aux?|y|e)"
)
PHRASE = rf"{CAPITALISED}(?:[ -](?:{GLUE} ){{0,2}}{CAPITALISED}){{0,4}}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One pattern: the type of all that it matches, and where it can match."""

    type: str
    score: float
    pattern: str
    needs: str = ""
    """A character class: "digit", or a word of which the text must hold one (split by |)."""
    cased: bool = True
    """Whether it also reads a text of which every word was capitalised."""
