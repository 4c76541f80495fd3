// Shared by the three components: the outbox, the one-message-in-flight link, the diff, small DOM.
// Text of a pair reaches the page through textContent or .value only.

const LONGEST = 64 * 1024;
const STATES = new Map();           // survives remounts: the module is loaded once per page load

const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'class') node.className = value;
    else if (name === 'onclick') node.onclick = value;
    else if (value !== false && value != null) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.filter(child => child != null));
  return node;
};

const store = {
  get(key) { try { return JSON.parse(localStorage.getItem(key)); } catch { return null; } },
  set(key, value) {
    try { localStorage.setItem(key, JSON.stringify(value)); return true; } catch { return false; }
  },
  drop(key) { try { localStorage.removeItem(key); } catch { /* nothing was kept there */ } },
  keys(prefix) {
    try { return Object.keys(localStorage).filter(key => key.startsWith(prefix)); } catch { return []; }
  },
};

/** A random UUID, also where the page is not served over https and randomUUID is missing. */
function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const b = crypto.getRandomValues(new Uint8Array(16));
  b[6] = (b[6] & 0x0f) | 0x40; b[8] = (b[8] & 0x3f) | 0x80;
  const hex = [...b].map(x => x.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** What can be encoded as UTF-8; half a surrogate pair cannot. */
/** Whether a reader sees nothing in the text; as `trim` in storage/blank.py, where the server asks. */
const BLANK = /^[\s\p{C}\u2028\u2029\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\u{e0100}-\u{e01ef}]*$/u;
const wordless = text => BLANK.test(text);
const sound = text => (text.toWellFormed ? text.toWellFormed() : text);

/** Operations that the server has not acknowledged yet, one localStorage record each, so that two
 *  tabs never overwrite each other. A tab also takes over what another tab left behind. */
class Outbox {
  constructor(prefix) {
    this.prefix = prefix; this.ops = new Map(); this.last = 0; this.durable = true; this.heard = new Set();
    this.adopt(0);
  }
  adopt(age) {
    const found = store.keys(this.prefix).map(key => store.get(key))
      .filter(op => op && typeof op.op === 'string' && !this.ops.has(op.op) && !this.heard.has(op.op) && Date.now() - op.at >= age)
      .sort((a, b) => a.at - b.at);
    for (const op of found) { this.ops.set(op.op, op); this.last = Math.max(this.last, op.at || 0); }
    return found;
  }
  add(op) {
    this.last = Math.max(Date.now(), this.last + 1);
    const kept = { ...op, at: this.last };
    this.ops.set(kept.op, kept);
    this.durable = store.set(this.prefix + kept.op, kept);
    return kept;
  }
  drop(id) { this.heard.add(id); this.ops.delete(id); store.drop(this.prefix + id); }
  list() { return [...this.ops.values()].sort((a, b) => a.at - b.at).slice(0, 200); }
  /** What one message carries: the server closes the connection on a message of more than 8 MB, and
   *  after a day offline a hundred long texts may wait. The rest goes once these are acknowledged. */
  batch() {
    let left = 1_000_000;              // characters
    return this.list().filter((op, at) => (left -= JSON.stringify(op).length) >= 0 || at === 0);
  }
  get size() { return this.ops.size; }
}

/** Sends a state value and waits for its echo before the next one: a second message would
 *  interrupt the script run that carries the answer to the first. Resends until echoed. */
class Link {
  constructor(name, compose) {
    this.name = name; this.compose = compose; this.n = 0; this.echo = 0; this.sentAt = 0;
    this.heardAt = Date.now(); this.due = false; this.patience = 3000; this.set = null;
  }
  get waiting() { return this.n > this.echo && Date.now() - this.sentAt < this.patience; }
  send() {
    if (!this.set || this.waiting) { this.due = true; return; }
    if (this.n > this.echo) this.patience = Math.min(this.patience * 2, 20000);
    this.due = false; this.n = Math.max(Date.now(), this.n + 1); this.sentAt = Date.now();
    this.set(this.name, { ...this.compose(), n: this.n });
  }
  heard(n) {
    this.heardAt = Date.now();
    if (typeof n === 'number' && n >= this.n) { this.echo = this.n; this.patience = 3000; }
    // n is 0 in a new session, which never heard the message.
    else if (this.n > this.echo && Date.now() - this.sentAt > (n ? 800 : 150)) { this.echo = this.n; this.due = true; }
    if (this.due) this.send();
  }
  /** Called every second. `needed`: something is still unacknowledged. */
  tick(needed) { if ((needed || this.due) && !this.waiting) this.send(); }
}

/** Shows how many operations are on their way. */
function showSaved(node, outbox, link, delayed) {
  const count = outbox.size;
  const lost = count > 0 && Date.now() - outbox.list()[0].at > 5000 && Date.now() - link.heardAt > 5000;
  if (lost && node.dataset.state !== 'lost') node.getRootNode().querySelector('#heard').textContent = 'Connection lost. Your work is kept in this browser.';
  node.dataset.state = !count ? 'saved' : lost || delayed ? 'lost' : 'saving';
  node.textContent = !count ? 'all saved' : !lost ? (delayed ? `${count} not saved yet, trying again` : `saving ${count}…`)
    : outbox.durable ? `${count} not saved: connection lost, kept in this browser`
      : `${count} not saved: connection lost, kept in this tab only`;
}

/** Says why presses wait in the outbox, for as long as the server has no time for them. */
function showDelay(S) {
  const delayed = S.outbox.size ? S.data.delayed : '';
  if (delayed) S.banner = { text: delayed, delayed: true };
  else if (S.banner?.delayed) S.banner = null;
}

const INPUTS = /^(INPUT|TEXTAREA|SELECT)$/;
const typing = event => {
  const target = event.composedPath()[0];
  return !!target && (target.isContentEditable || INPUTS.test(target.tagName || ''));
};
/** Whether a press is meant for something else: text being typed, a held key, a shortcut, a dialog. */
const foreign = event => event.defaultPrevented || event.repeat || event.isComposing || event.keyCode === 229
  || event.ctrlKey || event.metaKey || event.altKey || typing(event)
  || document.querySelector('[role="dialog"]') !== null;
/** Space, Enter and Backspace belong to a focused control; letters do not. */
const onControl = event => {
  const target = event.composedPath()[0];
  return !!target && /^(BUTTON|A|SUMMARY)$/.test(target.tagName || '') || !!target?.getAttribute?.('role')?.match(/button|tab|option|menuitem|link|switch|checkbox|radio/);
};

/** The letter or digit that was meant, whatever the keyboard layout writes. */
function meant(event) {
  if (/^[\x20-\x7e]$/.test(event.key) && !/^(Digit|Numpad)\d$/.test(event.code)) return event.key.toLowerCase();
  return event.code?.match(/^(?:Digit|Numpad)(\d)$/)?.[1] || event.code?.match(/^Key([A-Z])$/)?.[1].toLowerCase() || event.key;
}

/** Gives the component the height that is left in the window below its top. */
function fit(root) {
  const scrolled = document.querySelector('[data-testid="stMain"]')?.scrollTop || 0;
  const top = Math.max(0, root.getBoundingClientRect().top + scrolled);
  const room = Math.max(384, Math.round(window.innerHeight - top - 20));
  if (Math.abs(room - (root.__room || 0)) < 3) return;
  root.__room = room;
  root.style.setProperty('--room', `${room}px`);
}

/** Guidelines text as paragraphs, bullets, headings, tables and code; every word through textContent. */
function prose(node, text) {
  if (node.__text === text) return;
  node.__text = text; node.replaceChildren();
  let open = null;                        // what the next line may go on with
  const begin = (kind, tag, words, parent = node) => {
    open = { kind, raw: words, last: words, made: parent.appendChild(make(tag, {}, plain(words))) };
  };
  for (const line of (text || '').split('\n')) {
    const words = line.trim(), bullet = line.match(/^\s*(?:[-*]|\d+[.)])\s+(.*)$/), heading = line.match(/^#{1,6}\s+(.*)$/);
    if (words.startsWith('```')) { if (open?.kind === 'code') open = null; else begin('code', 'pre', ''); }
    else if (open?.kind === 'code') open.made.append(`${line}\n`);
    else if (/^\|.*\|$/.test(words)) {
      if (open?.kind !== 'table') begin('table', 'table', '');
      if (!/^[\s|:-]+$/.test(words)) row(open.made, words);
    } else if (bullet) begin('li', 'li', bullet[1], open?.kind === 'li' ? open.made.parentNode : node.appendChild(make('ul')));
    else if (heading) { begin('h', 'h4', heading[1]); open = null; }
    else if (!words) open = null;
    else if (/^(p|li)$/.test(open?.kind) && open.last.length >= 70) {     // a line broken by an editor, not by the writer
      open.raw += ` ${words}`; open.last = line; open.made.textContent = plain(open.raw);
    } else begin('p', 'p', words);
  }
}
function row(table, words) {
  const tag = table.childElementCount ? 'td' : 'th';
  table.append(make('tr', {}, ...words.slice(1, -1).split('|').map(cell => make(tag, {}, plain(cell.trim())))));
}
const plain = text => text.replace(/\*\*(.+?)\*\*/g, '$1').replace(/`([^`]+)`/g, '$1');

/** Word diff by longest common subsequence: [["=", text], ["-", text], ["+", text], ...]. */
function diff(before, after) {
  const words = text => text.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) || [];
  const a = words(before), b = words(after);
  let head = 0, tail = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const x = a.slice(head, a.length - tail), y = b.slice(head, b.length - tail), out = [];
  const push = (kind, text) => {
    if (!text) return;
    if (out.length && out[out.length - 1][0] === kind) out[out.length - 1][1] += text; else out.push([kind, text]);
  };
  push('=', a.slice(0, head).join(''));
  if (x.length * y.length > 1e6) { push('-', x.join('')); push('+', y.join('')); }    // too long to align as one types
  else {
    const width = y.length + 1, best = new Uint32Array((x.length + 1) * width);
    for (let i = x.length - 1; i >= 0; i--) for (let j = y.length - 1; j >= 0; j--) {
      best[i * width + j] = x[i] === y[j] ? best[(i + 1) * width + j + 1] + 1 : Math.max(best[(i + 1) * width + j], best[i * width + j + 1]);
    }
    let i = 0, j = 0;
    while (i < x.length || j < y.length) {
      if (i < x.length && j < y.length && x[i] === y[j]) { push('=', x[i]); i++; j++; }
      else if (i < x.length && (j >= y.length || best[(i + 1) * width + j] >= best[i * width + j + 1])) push('-', x[i++]);
      else push('+', y[j++]);
    }
  }
  push('=', a.slice(a.length - tail).join(''));
  return out;
}
function showDiff(node, before, after) {
  node.replaceChildren(...diff(before, after).map(([kind, text]) =>
    kind === '=' ? document.createTextNode(text) : make(kind === '+' ? 'ins' : 'del', {}, text)));
}

/** A flat JSON object as [name, value] lines for reading; null for anything else. */
function fields(text) {
  try {
    const value = JSON.parse(text);
    if (!value || typeof value !== 'object' || Array.isArray(value)) return null;
    const lines = Object.entries(value);
    return lines.length && lines.length <= 12 && lines.every(([, v]) => v === null || typeof v !== 'object') ? lines : null;
  } catch { return null; }
}
function showOutput(node, text) {
  const lines = fields(text);
  node.replaceChildren();
  node.classList.toggle('fields', !!lines);
  if (!lines) { node.append(text); return; }
  const list = make('dl');
  for (const [name, value] of lines) list.append(make('dt', {}, name), make('dd', {}, String(value)));
  node.append(list, make('div', { class: 'raw mono' }, text));
}

/** Wires one state object to the page for as long as its component is mounted. */
function attach(state, root, set, handlers) {
  state.root = root; state.setter = set;
  for (const link of state.links) link.set = set;
  if (state.listening) return;
  state.listening = true;
  const add = [['keydown', handlers.key], ['beforeunload', handlers.leave], ['pagehide', handlers.hide], ['resize', handlers.size],
    ['storage', handlers.storage], ['visibilitychange', handlers.seen]].filter(([, f]) => f);
  const target = name => (name === 'visibilitychange' ? document : window);
  for (const [name, f] of add) target(name).addEventListener(name, f);
  const timer = setInterval(handlers.tick, 1000);
  state.detach = () => {
    for (const [name, f] of add) target(name).removeEventListener(name, f);
    clearInterval(timer); state.listening = false; state.root = null;
    for (const link of state.links) link.set = null;
  };
}

/** The state of one person's work in one project; made once per page load. */
function stateOf(kind, data, build) {
  const key = `assay:${kind}:${data.project}:${data.user}`;
  if (!STATES.has(key)) STATES.set(key, build(key));
  return STATES.get(key);
}
