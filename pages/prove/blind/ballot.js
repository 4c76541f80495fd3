// The blind ballot: the same queue and outbox as the review card. It knows items and two texts, never
// which side is which: nothing here could tell.

const VOTES = { 1: 'left', 2: 'right', 3: 'tie', 0: 'both_bad' };
const LABELS = { left: 'Left', right: 'Right', tie: 'Equally good', both_bad: 'Both bad' };

function build(key) {
  const S = { key, queue: [], past: [], voted: new Map(), expect: new Set(), data: null, drawn: '', banner: null, askAfter: 0, unasked: 0, shownAt: Date.now(), times: [], active: 0 };
  S.outbox = new Outbox(`${key}:op:`);
  S.link = new Link('outbox', () => ({ ops: S.outbox.batch(), have: S.queue.map(item => item.item) }));
  S.links = [S.link];
  return S;
}
const $ = (S, id) => S.root.querySelector(`#${id}`);
const head = S => S.queue[0];
const hear = (S, text) => { if (S.root) $(S, 'heard').textContent = text; };

function vote(S, choice) {
  const item = head(S);
  if (!item || Date.now() < S.unasked + 350) return;
  S.queue.shift();
  const op = S.outbox.add({ op: uuid(), item: item.item, choice });
  S.past.push({ ...op, shown: item });
  S.voted.set(item.item, op.op);
  S.times.push(Date.now() - S.shownAt); S.banner = null;
  draw(S, true);
  hear(S, `${LABELS[choice]}. ${head(S) ? 'Next pair.' : ''}`);
  S.link.send();
}

function undo(S) {
  const last = S.past.pop();
  if (!last) { S.banner = { text: 'There is no vote of this sitting to take back.' }; drawBanner(S); return; }
  S.outbox.add({ op: uuid(), item: last.item, choice: 'withdrawn', target: last.op });
  S.voted.delete(last.item); S.times.pop();
  S.queue = [last.shown, ...S.queue.filter(item => item.item !== last.item)];
  S.banner = null;
  draw(S, true);
  hear(S, 'Your last vote is taken back.');
  S.link.send();
}

function press(S, event) {
  if (!S.root || foreign(event) || event.shiftKey) return;
  const key = meant(event);
  S.active = Date.now();
  if (event.key === 'Backspace' && !onControl(event)) { event.preventDefault(); undo(S); }
  else if (key in VOTES) { event.preventDefault(); vote(S, VOTES[key]); }
}

function receive(S, data) {
  const before = head(S);
  S.data = data;
  for (const op of S.outbox.list()) {
    const ack = (data.acks || {})[op.op];
    if (!ack) continue;
    S.outbox.drop(op.op);
    if (ack.status === 'saved') continue;
    S.banner = { text: ack.message || 'That vote was not taken.' };
    S.past = S.past.filter(p => p.op !== op.op);
    if (S.voted.get(op.item) === op.op) S.voted.delete(op.item);
  }
  showDelay(S);
  const pending = new Set(S.outbox.list().map(op => op.item));
  let fresh = 0;
  for (const item of data.items || []) {
    if (pending.has(item.item) || S.voted.has(item.item) || S.queue.some(queued => queued.item === item.item)) continue;
    S.queue.push(item); fresh++;
  }
  if (!fresh) S.askAfter = Date.now() + 10000;
  if (before && head(S)?.item !== before.item) S.unasked = Date.now();
}

function drawBanner(S) {
  $(S, 'banner').hidden = !S.banner; $(S, 'banner-text').textContent = S.banner?.text || '';
}
function drawHeader(S) {
  const planned = S.data.planned || 0;
  let done = S.data.done || 0;
  for (const op of S.outbox.list()) done += op.choice === 'withdrawn' ? -1 : 1;
  done = Math.max(0, Math.min(planned, done));
  $(S, 'count').textContent = `${done} of ${planned}`;
  const sorted = S.times.slice(-40).sort((a, b) => a - b), median = sorted[Math.floor(sorted.length / 2)];
  $(S, 'pace').textContent = ' voted' + (sorted.length > 2 ? ` · ${Math.max(1, Math.round(median / 1000))} s median` : '');
  $(S, 'bar').style.width = `${planned ? (100 * done) / planned : 0}%`;
  showSaved($(S, 'saved'), S.outbox, S.link, S.data.delayed);
  return done;
}

function draw(S, focus = false) {
  if (!S.root || !S.data) return;
  const item = head(S), done = drawHeader(S);
  for (const id of ['asked', 'panes']) $(S, id).hidden = !item;
  $(S, 'empty').hidden = !!item;
  for (const button of S.root.querySelectorAll('#actions button')) button.disabled = !item;
  const stamp = item ? item.item : `none:${done}:${S.link.waiting}`;
  if (stamp !== S.drawn) {
    S.drawn = stamp; S.shownAt = Date.now();
    $(S, 'card').dataset.item = item ? item.item : '';
    if (item) {
      $(S, 'prompt').textContent = item.prompt;
      const show = fields(item.left) && fields(item.right) ? showOutput : (node, text) => { node.className = 'text'; node.textContent = text; };
      show($(S, 'left'), item.left); show($(S, 'right'), item.right);       // one way of showing for both sides
      for (const id of ['asked', 'left-pane', 'right-pane']) $(S, id).scrollTop = 0;
    } else {
      const all = done >= (S.data.planned || 0);
      $(S, 'empty-title').textContent = all ? 'Thank you, that was the last one' : S.link.waiting ? 'Fetching the next pair…' : 'Nothing is waiting for you';
      $(S, 'empty-text').textContent = all ? 'The result stays sealed until a lead closes the trial.' : 'Pairs that you may vote on appear here by themselves.';
    }
  }
  drawBanner(S);
  if (focus) $(S, 'card').focus({ preventScroll: true });
}

function bind(S, root) {
  root.addEventListener('click', event => {
    const name = event.target.closest('[data-do]')?.dataset.do;
    if (name) { if (name === 'undo') undo(S); else vote(S, name); $(S, 'card').focus({ preventScroll: true }); }
  });
  root.querySelector('#banner-close').onclick = () => { S.banner = null; drawBanner(S); };
}

function tick(S) {
  if (!S.root || !S.data) return;
  const orphans = S.outbox.adopt(5000).length > 0;
  const low = document.visibilityState === 'visible' && S.queue.length < 12 && Date.now() > S.askAfter;
  if (low) S.askAfter = Date.now() + 10000;
  S.link.tick(orphans || S.outbox.size > 0 || low);
  fit(S.root);
  drawHeader(S);
  if (!head(S)) draw(S);
}

/** Another tab of this browser voted on a pair that waits here too. */
function elsewhere(S, event) {
  if (!event.key?.startsWith(S.outbox.prefix) || !event.newValue) return;
  const item = JSON.parse(event.newValue).item, place = S.queue.findIndex(queued => queued.item === item);
  if (place < 0 || (place === 0 && Date.now() - S.active < 1500)) return;
  S.queue.splice(place, 1); S.unasked = Date.now(); draw(S);
}

export default function ({ data, parentElement, setStateValue }) {
  const S = stateOf(`ballot:${data.trial}`, data, build), root = parentElement.querySelector('#root');
  const mounted = S.root !== root;
  if (mounted && S.detach) S.detach();
  attach(S, root, setStateValue, {
    key: event => press(S, event), tick: () => tick(S), size: () => S.root && fit(S.root), storage: event => elsewhere(S, event),
    leave: event => { if (S.outbox.size) event.preventDefault(); },
  });
  if (mounted) { bind(S, root); S.queue = []; S.drawn = ''; fit(root); }
  if (S.data !== data || mounted) receive(S, data);
  draw(S, mounted && !document.activeElement?.matches?.('input, textarea'));
  S.link.heard(data.n);
  if (mounted && S.outbox.size) S.link.send();
  return () => { if (S.root === root) S.detach(); };
}
