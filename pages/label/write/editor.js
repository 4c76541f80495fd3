// The gold-pair editor. Words are kept three times: at each key in this browser, 400 ms after the last
// key on the server, and for good when saved. Whichever copy is newer comes back after a crash.

const PAUSE = 400;
const FIELDS = ['prompt', 'response', 'topic'];
const $ = (S, id) => S.root.querySelector(`#${id}`);
const hear = (S, text) => { if (S.root) $(S, 'heard').textContent = text; };

function build(key) {
  const S = { key, data: null, words: { prompt: '', response: '', topic: '', at: 0 }, check: null, probed: null, banner: null, schema: null, stored: 0 };
  S.outbox = new Outbox(`${key}:op:`);
  S.submit = new Link('submit', () => ({ ops: S.outbox.batch() }));
  S.draft = new Link('draft', () => { S.probed = { ...S.words }; return { ...S.words }; });
  S.links = [S.submit, S.draft];
  return S;
}
const mirror = S => `${S.key}:words`;
const blank = words => wordless(words.prompt) && wordless(words.response);

/** The newer of the server's scratch and this browser's copy. */
function recover(S) {
  const copies = [S.words, store.get(mirror(S)), S.data.scratch].filter(w => w && typeof w.prompt === 'string' && typeof w.response === 'string');
  const newest = copies.reduce((a, b) => ((b.at || 0) > (a.at || 0) ? b : a), S.words);
  S.words = { prompt: newest.prompt, response: newest.response, topic: newest.topic || '', at: newest.at || 0 };
  fill(S);
}
function fill(S) {
  for (const name of FIELDS) if ($(S, name).value !== S.words[name]) $(S, name).value = S.words[name];
  grow(S); choose(S);
}
function grow(S) {
  for (const [name, most] of [['prompt', 300], ['response', 300]]) {
    const box = $(S, name), least = name === 'prompt' ? 104 : 52;
    box.style.height = 'auto'; box.style.height = `${Math.min(Math.max(box.scrollHeight + 4, least), most)}px`;
  }
}

function changed(S) {
  const now = {};
  for (const name of FIELDS) now[name] = sound($(S, name).value);
  S.words = { ...now, at: Math.max(Date.now(), S.words.at + 1) };
  S.mirrored = store.set(mirror(S), S.words);
  S.draft.due = true;
  clearTimeout(S.timer);
  S.timer = setTimeout(() => S.draft.send(), PAUSE);
  grow(S); drawState(S); drawCheck(S);
}
/** Sends what is typed at once: the field or the page is being left. */
function flush(S) {
  clearTimeout(S.timer);
  if (S.root && S.draft.due) { S.draft.echo = S.draft.n; S.draft.send(); }
}

function save(S) {
  const words = S.words;
  if (wordless(words.prompt) || wordless(words.response)) return tell(S, 'Not saved: the input and the output both need words.');
  if (Math.max(words.prompt.length, words.response.length) > LONGEST) return tell(S, 'Not saved: one text is longer than 65,536 characters. Shorten it.');
  if (S.outbox.list().some(op => FIELDS.every(name => op[name] === words[name]))) return;      // on its way already
  if (S.known?.length) return tell(S, `Not saved: ${S.known[0]}`);
  clearTimeout(S.timer); S.draft.due = false;
  S.outbox.add({ op: uuid(), prompt: words.prompt, response: words.response, topic: words.topic });
  S.banner = null; draw(S);
  S.submit.send();
}
function clear(S) {
  for (const name of FIELDS) $(S, name).value = '';
  S.check = null;
  changed(S); choose(S);
  $(S, 'prompt').focus({ preventScroll: true });
}

function settle(S, op, ack) {
  const same = FIELDS.every(name => S.words[name] === op[name]);
  if (ack.status === 'saved') {
    S.banner = { text: (ack.message || 'Saved.') + (same ? '' : ' What you typed since is still here.'), good: true };
    if (same) clear(S);
    return;
  }
  S.banner = { text: ack.message || 'This pair was not saved. Your words are still here.' };
  if (same) return;
  store.set(`${S.key}:aside`, op);
  if (blank(S.words)) swap(S); else S.banner.swap = true;
}

/** Exchanges the words in the editor with the refused ones that were put aside. */
function swap(S) {
  const aside = store.get(`${S.key}:aside`);
  if (!aside) return;
  if (blank(S.words)) store.drop(`${S.key}:aside`); else store.set(`${S.key}:aside`, S.words);
  for (const name of FIELDS) $(S, name).value = aside[name] || '';
  changed(S); choose(S);
}

function receive(S, data) {
  S.data = data;
  for (const link of S.links) link.heardAt = Date.now();
  for (const op of S.outbox.list()) {
    const ack = (data.acks || {})[op.op];
    if (ack) { S.outbox.drop(op.op); settle(S, op, ack); }
  }
  showDelay(S);
  if (data.draft_n === S.draft.n && S.probed) {
    S.stored = S.probed.at;
    S.check = { ...S.probed, problems: data.problems || [], hint: data.hint || '' };
  } else if (!S.check && data.scratch && FIELDS.every(name => (data.scratch[name] || '') === S.words[name])) {
    S.stored = S.words.at; S.check = { ...S.words, problems: data.problems || [], hint: data.hint || '' };
  }
}

// ---- choices from the schema: selects that write the output, in the schema's order ---------------

/** The properties that can be chosen or typed in one line; null where the schema is not of that kind. */
function simple(schema) {
  const all = schema && (schema.type === 'object' || schema.properties) ? Object.entries(schema.properties || {}) : [];
  const plain = all.every(([, p]) => p && (Array.isArray(p.enum) || ['string', 'boolean'].includes(p.type)));
  return all.length && all.length <= 8 && plain && all.some(([, p]) => Array.isArray(p.enum)) ? all : null;
}
function buildChoices(S) {
  const stamp = JSON.stringify(S.data.schema ?? null);
  if (S.schema === stamp) return;
  S.schema = stamp; S.properties = simple(S.data.schema);
  const box = $(S, 'choices');
  box.hidden = !S.properties; box.replaceChildren();
  $(S, 'response').classList.toggle('mono', !!S.data.schema); $(S, 'response').spellcheck = !S.data.schema;
  for (const [name, property] of S.properties || []) {
    const values = property.enum || (property.type === 'boolean' ? [true, false] : null);
    const field = values
      ? make('select', { id: `pick-${name}` }, make('option', { value: '' }, 'choose…'), ...values.map((value, i) => make('option', { value: String(i + 1) }, String(value))))
      : make('input', { id: `pick-${name}`, type: 'text', autocomplete: 'off' });
    field.dataset.name = name; field.__values = values;
    field.addEventListener('input', () => compose(S));
    box.append(make('label', { for: `pick-${name}` }, name), field);
  }
}
function compose(S) {
  const value = {};
  for (const field of $(S, 'choices').querySelectorAll('[data-name]')) {
    if (field.value !== '') value[field.dataset.name] = field.__values ? field.__values[Number(field.value) - 1] : field.value;
  }
  $(S, 'response').value = Object.keys(value).length ? JSON.stringify(value) : '';
  changed(S);
}
/** Sets the choices from the text; what is not one of them shows as not chosen. */
function choose(S) {
  if (!S.properties) return;
  let value = {};
  try { value = JSON.parse(S.words.response) || {}; } catch { /* half-typed JSON chooses nothing */ }
  for (const field of $(S, 'choices').querySelectorAll('[data-name]')) {
    const found = Object.hasOwn(Object(value), field.dataset.name) ? value[field.dataset.name] : undefined;
    if (field.__values) field.value = String(field.__values.indexOf(found) + 1 || '');
    else field.value = typeof found === 'string' ? found : '';
  }
}

// ---- drawing --------------------------------------------------------------------------------------

function tell(S, text) { S.banner = { text }; drawBanner(S); hear(S, text); }
function drawBanner(S) {
  $(S, 'banner').hidden = !S.banner; $(S, 'banner-text').textContent = S.banner?.text || '';
  $(S, 'banner-swap').hidden = !S.banner?.swap;
  $(S, 'banner').dataset.tone = S.banner?.good ? 'good' : '';
}
function drawCheck(S) {
  const box = $(S, 'check'), now = S.words;
  const current = S.check && S.check.prompt === now.prompt && S.check.response === now.response;
  S.known = current && !wordless(now.response) ? S.check.problems : null;
  $(S, 'hint').hidden = !current || !S.check.hint; $(S, 'hint').textContent = current ? S.check.hint : '';
  if (wordless(now.response)) { box.replaceChildren(); return; }
  if (!current) return;                                   // keep what is shown until the answer is there
  const checked = S.data.schema != null;
  box.replaceChildren(S.check.problems.length ? make('div', { class: 'problems' }, ...S.check.problems.map(p => make('p', {}, p)))
    : checked ? make('p', { class: 'fits' }, '✓ The output fits the schema.') : '');
}
function drawState(S) {
  const node = $(S, 'saved');
  if (S.outbox.size) { showSaved(node, S.outbox, S.submit, S.data.delayed); return; }
  const late = S.words.at > S.stored && S.stored >= 0 && Date.now() - S.words.at > 6000;
  const kept = S.words.at <= S.stored || blank(S.words);
  node.dataset.state = kept ? 'saved' : late ? 'lost' : 'saving';
  node.textContent = kept ? (blank(S.words) ? '' : 'words kept, not saved yet') : late
    ? (S.mirrored === false ? 'connection lost: words are in this tab only' : 'connection lost: words kept in this browser') : 'keeping your words…';
  node.hidden = !node.textContent;
}
function draw(S) {
  if (!S.root || !S.data) return;
  prose($(S, 'guide'), S.data.guidelines || 'This project has no guidelines yet.');
  const topics = (S.data.topics || []).join('\n');
  if (S.topics !== topics) { S.topics = topics; $(S, 'topics').replaceChildren(...(S.data.topics || []).map(value => make('option', { value }))); }
  drawBanner(S); drawCheck(S); drawState(S);
}

function keys(S, event) {
  if (event.isComposing || event.keyCode === 229 || event.repeat) return;
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) { event.preventDefault(); save(S); }
}
function bind(S, root) {
  for (const name of FIELDS) {
    const box = root.querySelector(`#${name}`);
    box.addEventListener('input', () => { changed(S); if (name === 'response') choose(S); });
    box.addEventListener('blur', () => flush(S));
  }
  root.addEventListener('keydown', event => {
    keys(S, event);
    if (typing(event)) event.stopPropagation();        // Streamlit's hotkeys do not see a textarea behind the shadow root
  });
  root.querySelector('#save').onclick = () => save(S);
  root.querySelector('#clear').onclick = () => clear(S);
  root.querySelector('#banner-swap').onclick = () => swap(S);
  root.querySelector('#banner-close').onclick = () => { S.banner = null; drawBanner(S); };
}
function tick(S) {
  if (!S.root || !S.data) return;
  const orphans = S.outbox.adopt(5000).length > 0;
  S.submit.tick(orphans || S.outbox.size > 0);
  S.draft.tick(S.words.at > S.stored && Date.now() - S.words.at > PAUSE && S.words.at > 0);
  fit(S.root);
  drawState(S);
}

export default function ({ data, parentElement, setStateValue }) {
  const S = stateOf('write', data, build), root = parentElement.querySelector('#root');
  const mounted = S.root !== root;
  if (mounted && S.detach) S.detach();
  attach(S, root, setStateValue, {
    tick: () => tick(S), size: () => S.root && fit(S.root), hide: () => flush(S), seen: () => document.visibilityState === 'hidden' && flush(S),
    leave: event => { if (S.outbox.size) event.preventDefault(); },
  });
  if (mounted) { bind(S, root); S.schema = S.topics = null; fit(root); }
  const before = S.data;
  S.data = data;
  buildChoices(S);
  if (mounted) { recover(S); S.stored = data.scratch && (data.scratch.at || 0) >= S.words.at ? S.words.at : 0; }
  if (before !== data || mounted) receive(S, data);
  draw(S);
  S.draft.heard(data.draft_n); S.submit.heard(data.n);
  if (mounted && S.outbox.size) S.submit.send();
  if (mounted && !blank(S.words)) { S.draft.due = true; S.draft.send(); }
  if (mounted && !S.outbox.size) $(S, 'prompt').focus({ preventScroll: true });
  return () => { if (S.root === root) { flush(S); S.detach(); } };
}
