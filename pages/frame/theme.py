"""One look for all components: names for Streamlit's theme colours, and the common controls."""

ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32"
 rx="7" fill="#0f766e"/><path d="M9 23 16 8l7 15M11.6 18h8.8" fill="none" stroke="#fff"
 stroke-width="3" stroke-linecap="round" stroke-linejoin="round"/></svg>"""
"""The picture in the browser's tab, drawn here: Streamlit's icons would come from a font host."""

COMPONENT_CSS = """
:host, .assay {
  --assay-ink: var(--st-text-color);
  --assay-quiet: color-mix(in srgb, var(--st-text-color) 72%, var(--st-background-color));
  --assay-paper: var(--st-background-color);
  --assay-panel: var(--st-secondary-background-color);
  --assay-line: var(--st-border-color);
  --assay-accent: var(--st-primary-color);
  --assay-good: var(--st-green-text-color);
  --assay-good-paper: var(--st-green-background-color);
  --assay-bad: var(--st-red-text-color);
  --assay-bad-paper: var(--st-red-background-color);
  --assay-warn: var(--st-orange-text-color);
  --assay-warn-paper: var(--st-orange-background-color);
  font-family: var(--st-font);
  font-size: var(--st-base-font-size);
  line-height: 1.5;
  color: var(--assay-ink);
}
:host *, .assay * { box-sizing: border-box; }
button {
  font: inherit; color: var(--assay-ink); background: var(--assay-paper);
  border: 1px solid var(--assay-line); border-radius: var(--st-button-radius);
  padding: .5rem .9rem; cursor: pointer;
}
button:hover:not(:disabled) { border-color: var(--assay-accent); }
button:focus-visible, textarea:focus-visible, input:focus-visible, [tabindex]:focus-visible {
  outline: 3px solid var(--assay-accent); outline-offset: 2px;
}
button:disabled { opacity: .5; cursor: not-allowed; }
button.primary {
  color: #fff; background: var(--assay-accent); border-color: var(--assay-accent);
}
textarea, input[type=text] {
  font: inherit; width: 100%; color: var(--assay-ink); background: var(--assay-paper);
  border: 1px solid var(--assay-line); border-radius: var(--st-base-radius); padding: .5rem .7rem;
}
kbd {
  font-family: var(--st-code-font); font-size: .8em; padding: .05em .45em; margin-left: .5em;
  border: 1px solid currentColor; border-radius: .3em; opacity: .8;
}
ins { color: var(--assay-good); background: var(--assay-good-paper); text-decoration: underline; }
del { color: var(--assay-bad); background: var(--assay-bad-paper); text-decoration: line-through; }
.card {
  background: var(--assay-panel); border: 1px solid var(--assay-line);
  border-radius: var(--st-base-radius); padding: 1rem 1.2rem;
}
.text { white-space: pre-wrap; overflow-wrap: anywhere; }
.chip {
  display: inline-block; font-size: .85em; padding: .1em .6em; margin-right: .4em;
  border: 1px solid var(--assay-line); border-radius: 1em; color: var(--assay-quiet);
}
.quiet, .status { color: var(--assay-quiet); }
"""
"""Put in front of a component's own CSS (`isolate_styles=True`; else wrap the HTML in `.assay`).

It gives the `--assay-*` colours and styles button, button.primary, textarea, kbd, ins, del, .card,
.text (untrusted text, set with textContent), .chip, .quiet.
"""
