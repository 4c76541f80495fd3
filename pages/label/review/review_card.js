// The review card: a queue in memory, decisions drawn at once and saved behind.
// The server may be slow, gone or restarted: every decision stays in the outbox until acknowledged.

const ENOUGH = 12;                       // cards held; below this more are asked for
const SETTLE = 350;                      // ms in which a card that came unasked takes no press
const MARKS = { approve: '✓', reject: '✕', flag: '⚑', skip: '→' };
const KEYS = { a: 'approve', e: 'edit', x: 'reject', f: 'flag', h: 'guide', ' ': 'skip', Backspace: 'undo' };
const SIGNS = { ' ': 'Space', Backspace: '⌫' };
const sign = action => { const key = Object.keys(KEYS).find(k => KEYS[k] === action); return SIGNS[key] ?? key.toUpperCase(); };
const KEYED = 9;                         // reasons that have a key, 1 to 9; further ones are clicked
const SAID = { approve: 'Approved', reject: 'Rejected', flag: 'Flagged', skip: 'Skipped', undo: 'Reopened' };

function build(key) {
  const S = {
    key, queue: [], past: [], undone: new Set(), expect: new Map(), returned: new Set(), closed: new Set(), data: null, mode: 'read',
    askAfter: 0, guide: false, drawn: '', check: null, probed: null, unasked: 0, active: 0, kept: Date.now(), banner: null,
  };
  S.outbox = new Outbox(`${key}:op:`);
  S.link = new Link('outbox', () => ({ ops: S.outbox.batch(), have: S.queue.map(card => card.id), want: [...S.expect.keys()].slice(0, 50) }));
  S.probe = new Link('probe', () => ({ ...S.probed }));
  S.links = [S.link, S.probe];
  for (const name of store.keys(`${key}:words:`)) {
    if (Date.now() - (store.get(name)?.at || 0) > 14 * 864e5) store.drop(name);
  }
  return S;
}

const $ = (S, id) => S.root.querySelector(`#${id}`);
const head = S => S.queue[0];
const wordsKey = (S, card) => `${S.key}:words:${card.id}:${card.version}`;
const pendingOn = (S, row) => S.outbox.list().some(op => op.row === row);
const changed = (card, words) => words && (words.prompt !== card.prompt || words.response !== card.response);
const titleOf = card => card.prompt.replace(/\s+/g, ' ').trim().slice(0, 60);

// ---- what the person does ---------------------------------------------------------------------

function decide(S, action, extra = {}) {
  const card = head(S);
  if (!card) return;
  S.queue.shift();
  const op = S.outbox.add({ op: uuid(), row: card.id, version: card.version, fence: card.fence, action, ...extra });
  const after = action === 'skip' ? card.version : card.version + 1;
  S.past.push({ ...op, card, after, title: titleOf(card) });
  if (S.past.length > 300) S.past.shift();
  S.closed.add(`${card.id}:${card.version}`); S.returned.delete(card.id);
  S.mode = 'read'; S.banner = null; S.active = Date.now();
  draw(S, true);
  hear(S, `${SAID[action]} pair ${card.id}.${head(S) ? ` Pair ${head(S).id} is next.` : ' No more pairs.'}`);
  S.link.send();
}

function approve(S) {
  const card = head(S);
  if (!card) return;
  if (S.returned.has(card.id)) { edit(S); return; }          // their own words came back: never approve the old ones instead
  if (card.problems?.length) {
    tell(S, `Not approved: ${card.problems[0]} Press ${sign('edit')} to edit or ${sign('reject')} to reject.`);
    return;
  }
  decide(S, 'approve');
}

function recents(S) {
  const own = S.past.filter(p => p.action !== 'undo').slice().reverse();
  const known = new Set(own.map(p => p.op)), theirs = new Map((S.data?.recent || []).map(r => [r.op, r]));
  const list = own.map(p => ({ op: p.op, row: p.row, action: p.action, title: p.title, undoable: theirs.get(p.op)?.undoable ?? true }));
  for (const r of S.data?.recent || []) if (!known.has(r.op)) list.push({ ...r, row: r.id });
  return list.filter(r => !S.undone.has(r.op)).slice(0, 10);
}

function undo(S, target) {
  const entry = target ? recents(S).find(r => r.op === target) : recents(S).find(r => r.undoable);
  if (!entry || !entry.undoable) { tell(S, 'There is no decision to take back.'); return; }
  const past = S.past.find(p => p.op === entry.op);
  const known = (S.data?.recent || []).find(r => r.op === entry.op);
  stash(S);
  const version = past ? past.after : known?.version ?? 0, again = S.queue.find(c => c.id === entry.row);   // a skipped pair may have been handed out anew
  const fence = again?.fence ?? (past ? past.fence : known?.fence ?? 0);
  S.outbox.add({ op: uuid(), row: entry.row, version, fence, action: 'undo', target: entry.op });
  S.undone.add(entry.op); S.mode = 'read'; S.banner = null; S.active = Date.now();
  if (past) {
    const card = { ...past.card, version: version + 1, fence };
    S.queue = [card, ...S.queue.filter(c => c.id !== card.id)];
    const words = { prompt: past.prompt ?? card.prompt, response: past.response ?? card.response };
    if (changed(card, words)) keep(S, card, words);
  } else S.expect.set(entry.row, { since: Date.now() });
  draw(S, true);
  hear(S, `Pair ${entry.row} is open again.`);
  S.link.send();
}

function keep(S, card, words) {
  if (changed(card, words)) store.set(wordsKey(S, card), { ...words, at: Date.now() });
  else store.drop(wordsKey(S, card));
}
const typed = S => ({ prompt: sound($(S, 'edit-prompt').value), response: sound($(S, 'edit-response').value) });
function stash(S) { if (S.mode === 'edit' && head(S)) keep(S, head(S), typed(S)); }

function edit(S, words) {
  const card = head(S);
  if (!card) return;
  const shown = words || store.get(wordsKey(S, card)) || card;
  S.mode = 'edit'; S.check = null; S.active = Date.now();
  $(S, 'edit-prompt').value = shown.prompt; $(S, 'edit-response').value = shown.response;
  draw(S);
  grow(S);
  edited(S);
  const box = $(S, 'edit-response');
  box.focus({ preventScroll: true }); box.setSelectionRange(box.value.length, box.value.length);
}

function grow(S) {
  for (const id of ['edit-prompt', 'edit-response']) {
    const box = $(S, id);
    box.style.height = 'auto'; box.style.height = `${Math.min(box.scrollHeight + 4, 260)}px`;
  }
}

function edited(S) {
  const card = head(S), words = typed(S);
  keep(S, card, words);
  cancelAnimationFrame(S.frame);
  S.frame = requestAnimationFrame(() => {
    if (!S.root || S.mode !== 'edit') return;
    const pairs = [['diff-prompt', card.draft_prompt ?? card.prompt, words.prompt], ['diff-response', card.draft_response ?? card.response, words.response]];
    for (const [id, before, after] of pairs) {
      if (before === after) $(S, id).replaceChildren(); else showDiff($(S, id), before, after);
    }
    $(S, 'diff-response').classList.toggle('none', pairs.every(([, before, after]) => before === after));
    if (pairs.every(([, before, after]) => before === after)) $(S, 'diff-response').textContent = 'No change yet.';
  });
  clearTimeout(S.typing);
  S.typing = setTimeout(() => { S.probed = { row: card.id, version: card.version, ...words }; S.probe.due = true; S.probe.send(); }, 300);
  drawCheck(S);
}

function drawCheck(S) {
  const box = $(S, 'check'), now = typed(S), card = head(S);
  const known = S.check && S.check.prompt === now.prompt && S.check.response === now.response ? S.check.problems
    : !changed(card, now) ? card.problems || [] : null;
  S.known = known;
  if (known === null) return;                       // keep what is shown until the answer is there
  box.replaceChildren();
  if (known.length) box.append(make('div', { class: 'problems' }, ...known.map(p => make('p', {}, p))));
  else box.append(make('p', { class: 'fits' }, '✓ The output fits.'));
}

function save(S) {
  const card = head(S), words = typed(S);
  if (!card) return;
  if (wordless(words.prompt) || wordless(words.response)) return tell(S, 'Not saved: the input and the output both need words.');
  if (Math.max(words.prompt.length, words.response.length) > LONGEST) return tell(S, 'Not saved: one text is longer than 65,536 characters. Shorten it.');
  drawCheck(S);
  if (S.known?.length) return tell(S, `Not saved: ${S.known[0]}`);
  keep(S, card, words);
  clearTimeout(S.typing);
  const extra = {};
  if (words.prompt !== card.prompt) extra.prompt = words.prompt;
  if (words.response !== card.response) extra.response = words.response;
  decide(S, 'approve', extra);
}

function leave(S, discard) {
  if (discard) {
    store.drop(wordsKey(S, head(S)));
    $(S, 'edit-prompt').value = head(S).draft_prompt ?? head(S).prompt;
    $(S, 'edit-response').value = head(S).draft_response ?? head(S).response;
    grow(S); edited(S); $(S, 'edit-response').focus();
    return;
  }
  stash(S); S.mode = 'read'; draw(S, true);
}

function act(S, name) {
  if (name === 'approve') approve(S);
  else if (name === 'edit') edit(S);
  else if (name === 'reject' && head(S)) { S.mode = 'reason'; draw(S); hear(S, `Choose a reason, 1 to ${Math.min(reasons(S).length, KEYED)}, or Escape to go back.`); }
  else if (name === 'skip' || name === 'flag') decide(S, name);
  else if (name === 'undo') undo(S);
  else if (name === 'guide') { S.guide = !S.guide; draw(S); }
  else if (name === 'save') save(S);
  else if (name === 'leave') leave(S);
  else if (name === 'discard') leave(S, true);
}

const reasons = S => S.data.reasons || [];
function reason(S, index) {
  const text = reasons(S)[index];
  if (text) decide(S, 'reject', { reason: text });
}

// ---- keys -------------------------------------------------------------------------------------

function editKeys(S, event) {
  if (event.isComposing || event.keyCode === 229 || event.repeat) return;
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) { event.preventDefault(); save(S); }
  else if (event.key === 'Escape') { event.preventDefault(); leave(S); }
}

function press(S, event) {
  if (!S.root) return;
  if (S.mode === 'edit') { if (!typing(event)) editKeys(S, event); return; }
  if (foreign(event) || event.shiftKey) return;
  S.active = Date.now();
  const control = onControl(event), key = meant(event);
  if (S.mode === 'reason') {
    if (event.key === 'Escape') { event.preventDefault(); S.mode = 'read'; draw(S, true); }
    else if (/^[1-9]$/.test(key) && key <= reasons(S).length) { event.preventDefault(); reason(S, Number(key) - 1); }
    return;
  }
  const name = control && SIGNS[key] ? null : KEYS[key];
  if (!name) return;
  event.preventDefault();
  if (name !== 'guide' && Date.now() < S.unasked + SETTLE) return;
  act(S, name);
}

// ---- what the server says ---------------------------------------------------------------------

function settle(S, op, ack) {
  const past = S.past.find(p => p.op === op.op), held = S.queue.find(c => c.id === op.row);
  if (ack.status === 'saved') {
    if (past && ack.version != null) { past.after = ack.version; past.fence = ack.fence ?? past.fence; }
    if (held && ack.version != null && !pendingOn(S, op.row)) {
      const before = wordsKey(S, held), words = store.get(before);
      held.version = ack.version; held.fence = ack.fence ?? held.fence;
      if (words && wordsKey(S, held) !== before) { store.drop(before); keep(S, held, words); }
    }
    if (op.action === 'undo' && !held && !pendingOn(S, op.row)) S.expect.set(op.row, { since: Date.now() });
    if (op.prompt != null || op.response != null) store.drop(`${S.key}:words:${op.row}:${op.version}`);
    return;
  }
  for (const later of S.outbox.list()) if (later.row === op.row) S.outbox.drop(later.op);   // they build on what was not done
  S.past = S.past.filter(p => p.row !== op.row || p.at < op.at);
  const said = ack.message || `Pair ${op.row} could not be saved.`;
  if (op.action === 'undo') {
    S.undone.delete(op.target);
    stash(S); if (head(S)?.id === op.row) { S.mode = 'read'; S.unasked = Date.now(); }
    S.queue = S.queue.filter(c => c.id !== op.row);
  } else if (ack.status === 'late') {
    S.queue = S.queue.filter(c => c.id !== op.row);
  } else giveBack(S, op, ack, past);
  S.banner = { text: said, row: op.row };
}

/** A refused or conflicting decision: the card comes back with the person's words. A conflicting
 *  one has other text by now, so it is asked of the server first. */
function giveBack(S, op, ack, past) {
  S.closed.delete(`${op.row}:${op.version}`); S.closed.delete(`${op.row}:${ack.version}`);
  const edits = op.prompt != null || op.response != null, words = edits ? { prompt: op.prompt, response: op.response } : null;
  S.queue = S.queue.filter(c => c.id !== op.row);
  if (past && ack.status === 'refused') onTop(S, { ...past.card, version: ack.version ?? op.version, fence: ack.fence ?? op.fence }, words);
  else S.expect.set(op.row, { words, since: Date.now() });
}
/** Puts a card first, or second where the person is in the middle of another one. */
function onTop(S, card, words) {
  S.queue.splice(S.mode === 'read' ? 0 : 1, 0, card);
  if (S.mode === 'read') S.unasked = Date.now();
  if (!words) return;
  keep(S, card, filled(card, words)); S.returned.add(card.id);
  if (S.mode === 'read') S.reopen = card.id;
}
/** Pairs that never came back: their words are shown once more, to be copied. */
function forget(S) {
  for (const [row, wish] of S.expect) {
    if (Date.now() - wish.since < 15000) continue;
    S.expect.delete(row);
    const words = wish.words && [wish.words.prompt, wish.words.response].filter(Boolean).join('\n');
    if (words) tell(S, `Pair ${row} is no longer waiting. Your words, to copy:\n${words}`);
  }
}
const filled = (card, words) => ({ prompt: words.prompt ?? card.prompt, response: words.response ?? card.response });

function take(S, cards) {
  let fresh = 0;
  for (const card of cards) {
    const place = S.queue.findIndex(c => c.id === card.id), wish = S.expect.get(card.id);
    if (pendingOn(S, card.id)) continue;
    if (place >= 0) { refresh(S, place, card); continue; }
    if (S.closed.has(`${card.id}:${card.version}`) && S.past.some(p => p.row === card.id && p.version === card.version && p.action !== 'skip')) continue;
    fresh++;
    if (!wish) { S.queue.push(card); continue; }
    S.expect.delete(card.id);
    onTop(S, card, wish.words);
  }
  return fresh;
}

function refresh(S, place, card) {
  const old = S.queue[place];
  if (old.version === card.version && old.fence === card.fence) { old.problems = card.problems; old.mine = card.mine; return; }
  stash(S);
  const words = store.get(wordsKey(S, old));
  S.queue[place] = card;
  if (words) keep(S, card, words);
  if (place === 0 && (old.prompt !== card.prompt || old.response !== card.response)) {
    S.unasked = Date.now();
    S.banner = { text: `Pair ${card.id} was changed by someone else; this is how it reads now.`, row: card.id };
  }
}

function receive(S, data) {
  const before = head(S);
  S.data = data; S.link.heardAt = Date.now();
  for (const op of S.outbox.list()) {
    const ack = (data.acks || {})[op.op];
    if (ack && S.outbox.ops.has(op.op)) { S.outbox.drop(op.op); settle(S, op, ack); }
  }
  showDelay(S);
  const fresh = take(S, data.cards || []);
  if (!fresh) S.askAfter = Date.now() + (S.expect.size ? 1000 : 10000);
  if (data.probe && data.probe.n === S.probe.n && S.probed) S.check = { ...S.probed, problems: data.probe.problems || [] };
  if (before && head(S) !== before && head(S)?.id !== before.id) S.unasked = Date.now();
}

// ---- drawing ----------------------------------------------------------------------------------

const hear = (S, text) => { if (S.root) $(S, 'heard').textContent = text; };
function tell(S, text) { S.banner = { text }; drawBanner(S); hear(S, text); }

function drawBanner(S) {
  $(S, 'banner').hidden = !S.banner;
  $(S, 'banner-text').textContent = S.banner ? S.banner.text : '';
}

function drawHeader(S) {
  const counts = S.data.counts || {};
  let approved = counts.approved || 0;
  for (const op of S.outbox.list()) {
    if (op.action === 'approve') approved++;
    else if (op.action === 'undo' && S.past.find(p => p.op === op.target)?.action === 'approve') approved--;
  }
  $(S, 'count').textContent = `${Math.max(0, approved)} of ${counts.target || 0}`;
  $(S, 'pace').textContent = ' approved' + (S.data.median_s == null ? '' : ` · ${Math.round(S.data.median_s)} s median`)
    + (counts.decided_today ? ` · ${counts.decided_today} decided today` : '');
  showSaved($(S, 'saved'), S.outbox, S.link, S.data.delayed);
}

function drawRail(S) {
  $(S, 'rail').hidden = S.guide; $(S, 'guide').hidden = !S.guide;
  S.root.querySelector('[data-do="guide"]').setAttribute('aria-expanded', String(S.guide));
  if (S.guide) { prose($(S, 'guide'), S.data.guidelines || 'This project has no guidelines yet.'); return; }
  const list = recents(S), stamp = list.map(r => r.op + r.undoable).join();
  if (S.rail === stamp && $(S, 'recent').childElementCount) return;
  S.rail = stamp;
  $(S, 'recent').replaceChildren(...list.map(r => make('li', {}, make('button', {
    type: 'button', disabled: !r.undoable, title: r.undoable ? `${SAID[r.action] || r.action}. Click to reopen pair ${r.row}.` : 'This decision can no longer be taken back.',
    'aria-label': `${SAID[r.action] || r.action}: ${r.title}. Reopen pair ${r.row}`, onclick: () => { undo(S, r.op); focusCard(S); },
  }, make('span', { class: `mark ${r.action}`, 'aria-hidden': 'true' }, MARKS[r.action] || '·'), make('span', { class: 'title' }, r.title)))));
  $(S, 'recent-note').textContent = list.length ? 'Click one to reopen it.' : 'Your decisions appear here.';
}

function chip(text, kind = '') { return make('span', { class: `chip ${kind}` }, text); }

function drawCard(S, card) {
  const chips = [chip(`Pair ${card.id}`, 'row')];
  if (card.origin) chips.push(chip(card.origin));
  chips.push(...(card.labels || []).map(text => chip(text)));
  if (card.mine) chips.push(chip('written by you'));
  if (card.hidden?.length) chips.push(chip(`${card.hidden.length} invisible character${card.hidden.length > 1 ? 's' : ''} shown as ⟦…⟧`, 'warn'));
  $(S, 'chips').replaceChildren(...chips);
  $(S, 'prompt').textContent = card.prompt_visible ?? card.prompt;
  showOutput($(S, 'response'), card.response_visible ?? card.response);
  const problems = card.problems || [];
  $(S, 'problems').hidden = !problems.length;
  $(S, 'problems').replaceChildren(...problems.map(p => make('p', {}, p)));
  const words = store.get(wordsKey(S, card));
  $(S, 'note').hidden = !words;
  $(S, 'note').textContent = words ? `Words you typed for this pair are kept: press ${sign('edit')} to go on with them. Approve takes the text shown here.` : '';
  $(S, 'reading').scrollTop = 0;
}

function drawEmpty(S) {
  const waiting = S.data.counts?.waiting || 0;
  $(S, 'empty').querySelector('h2').textContent = S.link.waiting ? 'Fetching the next pairs…' : 'Nothing is waiting for you';
  $(S, 'empty-text').textContent = S.link.waiting ? '' : waiting
    ? `${waiting} ${waiting === 1 ? 'pair is' : 'pairs are'} with other reviewers or flagged. They appear here as soon as you can take them.`
    : 'Every pair has been decided. Import more, or draft some with a model, and they appear here by themselves.';
}

function draw(S, focus = false) {
  if (!S.root || !S.data) return;
  const card = head(S);
  if (!card) S.mode = 'read';
  $(S, 'reading').hidden = !card || S.mode === 'edit'; $(S, 'editing').hidden = S.mode !== 'edit';
  $(S, 'chips').hidden = !card; $(S, 'empty').hidden = !!card;
  $(S, 'actions-read').hidden = S.mode !== 'read'; $(S, 'actions-edit').hidden = S.mode !== 'edit'; $(S, 'actions-reason').hidden = S.mode !== 'reason';
  for (const name of ['approve', 'edit', 'reject', 'skip', 'flag']) S.root.querySelector(`[data-do="${name}"]`).disabled = !card;
  const stamp = card ? `${card.id}:${card.version}:${S.mode}:${(card.problems || []).join()}` : `none:${S.link.waiting}`;
  if (stamp !== S.drawn) {
    S.drawn = stamp;
    if (card) drawCard(S, card); else drawEmpty(S);
    $(S, 'card').dataset.row = card ? card.id : ''; $(S, 'card').dataset.version = card ? card.version : '';
  }
  drawBanner(S); drawHeader(S); drawRail(S);
  if (focus) focusCard(S);
}
/** After a press the card has the focus, so that Space skips instead of pressing the last button again. */
function focusCard(S) { if (S.mode !== 'edit') $(S, head(S) ? 'reading' : 'card').focus({ preventScroll: true }); }

function bind(S, root) {
  for (const action of Object.values(KEYS)) root.querySelector(`[data-do="${action}"]`).append(' ', make('kbd', {}, sign(action)));
  root.addEventListener('click', event => {
    const name = event.target.closest('[data-do]')?.dataset.do;
    if (name) { act(S, name); if (name !== 'discard' && name !== 'reject') focusCard(S); }
  });
  root.addEventListener('keydown', event => {
    if (!typing(event)) return;
    if (S.mode === 'edit') editKeys(S, event);
    event.stopPropagation();          // from outside the shadow root a textarea looks like a div: Streamlit's own hotkeys would fire
  });
  for (const id of ['edit-prompt', 'edit-response']) root.querySelector(`#${id}`).addEventListener('input', () => { grow(S); edited(S); });
  root.querySelector('#banner-close').onclick = () => { S.banner = null; drawBanner(S); focusCard(S); };
}

function drawReasons(S) {
  const stamp = JSON.stringify(S.data.reasons);
  if (S.reasons === stamp && $(S, 'actions-reason').childElementCount) return;
  S.reasons = stamp;
  $(S, 'actions-reason').replaceChildren(make('div', { class: 'ask' }, 'Why is it rejected?'),
    ...reasons(S).map((text, i) => make('button', { type: 'button', onclick: () => { reason(S, i); focusCard(S); } }, ...(i < KEYED ? [make('kbd', {}, String(i + 1))] : []), text)),
    make('button', { type: 'button', class: 'quiet', onclick: () => { S.mode = 'read'; draw(S, true); } }, 'Back ', make('kbd', {}, 'Esc')));
}

function tick(S) {
  if (!S.root || !S.data) return;
  const orphans = S.outbox.adopt(5000).length > 0, seen = document.visibilityState === 'visible';
  const low = seen && (S.queue.length < ENOUGH || S.expect.size > 0) && Date.now() > S.askAfter;
  forget(S);
  const alive = seen && Date.now() - S.active < 6e5 && Date.now() - S.kept > 6e4;    // keeps the leases of someone who reads
  if (alive) S.kept = Date.now();
  if (low) S.askAfter = Date.now() + (S.expect.size ? 1000 : 10000);
  S.link.tick(orphans || S.outbox.size > 0 || low || alive);
  S.probe.tick(false);
  fit(S.root);
  drawHeader(S);
  if (!head(S)) draw(S);
}

/** Another tab of this browser decided a pair that waits here too. */
function elsewhere(S, event) {
  if (!event.key?.startsWith(S.outbox.prefix) || !event.newValue) return;
  const row = JSON.parse(event.newValue).row, place = S.queue.findIndex(c => c.id === row);
  if (place < 0 || (place === 0 && (S.mode !== 'read' || Date.now() - S.active < 1500))) return;
  S.queue.splice(place, 1); S.unasked = Date.now(); draw(S);
}

export default function ({ data, parentElement, setStateValue }) {
  const S = stateOf('review', data, build), root = parentElement.querySelector('#root');
  const mounted = S.root !== root;
  if (mounted && S.detach) S.detach();
  attach(S, root, setStateValue, {
    key: event => press(S, event), tick: () => tick(S), size: () => S.root && fit(S.root), storage: event => elsewhere(S, event),
    leave: event => { if (S.outbox.size) event.preventDefault(); }, hide: () => stash(S),
  });
  if (mounted) { bind(S, root); S.queue = []; S.mode = 'read'; S.drawn = ''; S.rail = ''; S.reasons = ''; fit(root); }
  if (S.data !== data || mounted) receive(S, data);
  drawReasons(S);
  draw(S, mounted && !document.activeElement?.matches?.('input, textarea'));
  if (S.reopen === head(S)?.id && S.mode !== 'edit') edit(S);
  S.reopen = null;
  if (S.mode === 'edit') drawCheck(S);
  S.probe.heard(data.probe?.n);
  S.link.heard(data.n);
  if (mounted && (S.outbox.size || S.queue.length < ENOUGH)) S.link.send();
  return () => { if (S.root === root) { stash(S); S.detach(); } };
}
