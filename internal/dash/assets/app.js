// What pages do beyond plain HTML: times in the reader's zone, copy buttons,
// "/" for the search, questions before what cannot be undone, and parts that
// are read again when something happened. No page needs it to work.
'use strict';

(() => {
  const zone = (t, mode) => {
    const at = new Date(t);
    const pad = n => String(n).padStart(2, '0');
    const day = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
    const clock = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
    if (mode === 'day') return day;
    if (mode === 'clock') return clock;
    if (mode === 'short') return at.toLocaleString(undefined, {day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23'});
    return `${day} ${clock}`;
  };

  const dress = root => {
    for (const t of root.querySelectorAll('time[datetime]')) {
      if (t.dataset.mode !== 'day') t.textContent = zone(t.dateTime, t.dataset.mode);
    }
  };

  document.addEventListener('click', async e => {
    const copy = e.target.closest('[data-copy]');
    if (copy) {
      let done = true;
      try {
        await navigator.clipboard.writeText(copy.dataset.copy);
      } catch {
        const area = document.createElement('textarea'); // no clipboard without https
        area.value = copy.dataset.copy;
        area.className = 'hidden';
        document.body.append(area);
        area.select();
        done = document.execCommand('copy');
        area.remove();
      }
      copy.classList.toggle('done', done);
      copy.setAttribute('aria-label', done ? 'Copied' : 'Select the text and copy it');
      setTimeout(() => { copy.classList.remove('done'); copy.setAttribute('aria-label', 'Copy'); }, 2000);
      return;
    }
    for (const open of document.querySelectorAll('details.me[open]')) {
      if (!open.contains(e.target)) open.open = false;
    }
  });

  document.addEventListener('submit', e => {
    const ask = e.target.dataset.confirm;
    if (ask && !window.confirm(ask)) {
      e.preventDefault();
      return;
    }
    if (ask) { // the server asks whoever was not asked here
      const sure = document.createElement('input');
      sure.type = 'hidden';
      sure.name = 'sure';
      sure.value = '1';
      e.target.append(sure);
    }
    const slow = e.target.querySelector('[data-busy]');
    if (slow && !e.defaultPrevented && !('steps' in e.target.dataset)) { // steps.js sends those
      slow.textContent = slow.dataset.busy;
      slow.setAttribute('aria-busy', 'true');
      setTimeout(() => { slow.disabled = true; }, 0);
    }
  });

  // A choice that stands alone in its form needs no second click.
  document.addEventListener('change', e => {
    if (e.target.matches('[data-submit]')) e.target.form.requestSubmit();
  });

  document.addEventListener('keydown', e => {
    if (e.key === 'Escape') {
      for (const open of document.querySelectorAll('details.me[open]')) {
        open.open = false;
        open.querySelector('summary').focus();
      }
    }
    if (e.key !== '/' || e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.target.closest('input, textarea, select, [contenteditable]')) return;
    const find = document.getElementById('find');
    if (find) {
      e.preventDefault();
      find.focus();
      find.select();
    }
  });

  // Live parts: elements with an id and data-live. The same page is read again
  // and the parts of the same id take each other's place; one that holds the
  // focus or an open selection waits for the next time.
  //
  // A list with data-tail is not read again: it asks for what is newer than
  // data-after, and leaves out what it has. Event ids are beyond what numbers
  // hold exactly.
  const mostRows = 2000;
  const pull = async list => {
    const after = BigInt(list.dataset.after);
    const answer = await fetch(`${list.dataset.tail}&after=${after}`, {headers: {'X-Part': '1'}, redirect: 'error', cache: 'no-store'});
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html').getElementById(list.id);
    if (!fresh || !fresh.dataset.after) return;
    const body = list.querySelector('tbody');
    const shown = [...body.querySelectorAll('tr[data-id]')].filter(r => BigInt(r.dataset.id) > after);
    const known = new Set(shown.map(r => r.dataset.id));
    const came = [...fresh.querySelectorAll('tr[data-id]')];
    const oldest = came.length ? BigInt(came[came.length - 1].dataset.id) : 0n;
    const skipped = Number(fresh.dataset.more) - shown.filter(r => BigInt(r.dataset.id) < oldest).length;
    const rows = came.filter(r => !known.has(r.dataset.id)).map(r => document.adoptNode(r));
    for (const r of rows.reverse()) { // mostly on top; a straggler goes where it belongs
      dress(r);
      const id = BigInt(r.dataset.id);
      const below = [...body.children].find(o => o.dataset.id && BigInt(o.dataset.id) < id);
      if (below) below.before(r); else body.append(r);
    }
    if (Number(fresh.dataset.more) && skipped > 0) {
      const row = document.createElement('tr');
      row.className = 'skipped';
      const cell = row.insertCell();
      cell.colSpan = list.querySelectorAll('thead th').length;
      cell.textContent = `${skipped.toLocaleString('en')} events came faster than this list takes, and are left out here. Reload, or export them.`;
      const below = [...body.children].find(o => o.dataset.id && BigInt(o.dataset.id) < oldest);
      if (below) below.before(row); else body.append(row);
    }
    while (body.children.length > mostRows) body.lastElementChild.remove();
    list.dataset.after = fresh.dataset.after;
  };

  let reading = false;
  let again = false;
  const refresh = async () => {
    if (reading) { again = true; return; }
    reading = true;
    try {
      for (const list of document.querySelectorAll('[data-tail]')) await pull(list);
      if (!document.querySelector('[data-live][id]:not([data-tail])')) return;
      const answer = await fetch(location.href, {headers: {'X-Part': '1'}, redirect: 'error', cache: 'no-store'});
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
      for (const old of document.querySelectorAll('[data-live][id]:not([data-tail])')) {
        const part = fresh.getElementById(old.id);
        if (!part || old.contains(document.activeElement) && document.activeElement !== document.body) continue;
        const open = new Map([...old.querySelectorAll('details')].map((d, i) => [d.id || i, d.open]));
        const scrolled = [...old.querySelectorAll('.scroll')].map(s => s.scrollLeft);
        dress(part);
        if (part.innerHTML === old.innerHTML) continue;
        old.replaceWith(document.adoptNode(part));
        part.querySelectorAll('details').forEach((d, i) => { if (open.get(d.id || i)) d.open = true; });
        part.querySelectorAll('.scroll').forEach((s, i) => { s.scrollLeft = scrolled[i] || 0; });
      }
    } catch {
      // the node is restarting, or the session ended: the stream tells
    } finally {
      reading = false;
      if (again) { again = false; setTimeout(refresh, 1000); }
    }
  };

  let stream = null;
  const lamp = () => document.getElementById('live');
  const follow = on => {
    if (stream) { stream.close(); stream = null; }
    const l = lamp();
    if (l) { l.setAttribute('aria-pressed', String(on)); l.dataset.state = on ? 'waiting' : 'off'; }
    if (!on) return;
    stream = new EventSource('/live');
    stream.addEventListener('hello', () => { if (lamp()) lamp().dataset.state = 'on'; });
    stream.addEventListener('tick', () => { if (!document.hidden) refresh(); });
    stream.onerror = () => { if (lamp()) lamp().dataset.state = 'waiting'; };
  };

  // What a page needs when it is there: at first, and when steps.js puts another
  // in its place.
  const arrive = () => {
    dress(document);
    const l = lamp();
    if (l) {
      l.hidden = false;
      l.addEventListener('click', () => { const on = !stream; follow(on); if (on) refresh(); });
    }
    follow(Boolean(document.querySelector('[data-live]')));
    const wrong = document.querySelector('[aria-invalid]');
    if (wrong) wrong.focus();
  };

  document.addEventListener('DOMContentLoaded', () => {
    document.documentElement.classList.add('js');
    arrive();
    document.addEventListener('visibilitychange', () => { if (!document.hidden && stream) refresh(); });
  });
  document.addEventListener('arrive', arrive);
})();
