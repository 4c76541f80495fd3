"""Words that the harness pages share."""

from typing import Any

GUIDELINES = """# How to answer
Pick the team that can solve the problem, not the one named by the customer.

- **high** urgency: money is leaving the account now
- **normal**: a deadline is near
- **low**: everything else

# Next step
Use one of the house phrases, word by word."""
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "team": {"enum": ["cards", "fraud", "loans"]},
        "urgency": {"enum": ["low", "normal", "high"]},
        "next_step": {"enum": ["Block the card.", "Call the customer back.", "Send the form."]},
    },
    "required": ["team", "urgency", "next_step"],
}
