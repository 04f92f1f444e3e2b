// A connection test that is followed: the form is sent from here, each step
// shows when it ends, and the form keeps what was typed, the password too.
// Without this script the form is sent as any other.
'use strict';

(() => {
  const element = html => {
    const t = document.createElement('template');
    t.innerHTML = html; // made by the server's templates
    return t.content.firstElementChild;
  };

  const show = fresh => {
    const old = document.querySelector('main .probe');
    if (old) old.replaceWith(fresh);
    else document.querySelector('main > .head').after(fresh);
    return fresh;
  };

  // land shows a page in the place of this one.
  const land = (html, url) => {
    const fresh = new DOMParser().parseFromString(html, 'text/html');
    const main = fresh.querySelector('main');
    document.title = fresh.title;
    document.querySelector('main').replaceWith(document.adoptNode(main));
    if (url) history.replaceState(null, '', url);
    window.scrollTo(0, 0);
    document.dispatchEvent(new Event('arrive'));
  };

  // hear takes one line of the answer; true: it was the last.
  const hear = line => {
    if (line.step) {
      const list = document.querySelector('main .probe ol');
      const old = list.children[line.at];
      if (old) old.replaceWith(element(line.step));
      else list.append(element(line.step));
      return false;
    }
    if (line.page) land(line.page, line.url);
    else if (line.url) location.assign(line.url);
    else if (line.probe) {
      const fresh = show(element(line.probe));
      if (fresh.querySelector('.now')) {
        fresh.scrollIntoView({block: 'nearest'});
        return false;
      }
    }
    return true;
  };

  const read = async body => {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    let last = false;
    for (;;) {
      const {value, done} = await reader.read();
      if (done) return last;
      rest += value;
      for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
        last = hear(JSON.parse(rest.slice(0, end)));
        rest = rest.slice(end + 1);
      }
    }
  };

  const lost = () => {
    const flash = element('<div class="flash bad probe" role="alert"><p></p></div>');
    flash.firstElementChild.textContent = 'The connection to Waypost was lost. Look at the list of providers before you try again.';
    show(flash);
  };

  const send = async (form, button) => {
    const data = new FormData(form);
    if (button && button.name) data.append(button.name, button.value);
    const buttons = [...form.querySelectorAll('button')];
    const label = button ? button.textContent : '';
    for (const b of buttons) b.disabled = true;
    if (button) {
      button.textContent = button.dataset.busy || 'Testing…';
      button.setAttribute('aria-busy', 'true');
    }
    try {
      const answer = await fetch(form.getAttribute('action'), {method: 'POST', body: new URLSearchParams(data), headers: {Accept: 'application/x-ndjson'}});
      if (answer.redirected && new URL(answer.url).pathname === '/login') location.assign(answer.url);
      else if ((answer.headers.get('Content-Type') || '').startsWith('application/x-ndjson')) {
        if (!await read(answer.body)) lost();
      } else land(await answer.text(), answer.redirected ? answer.url : '');
    } catch {
      lost();
    }
    for (const b of buttons) b.disabled = false;
    if (button) {
      button.textContent = label;
      button.removeAttribute('aria-busy');
      if (button.isConnected && document.activeElement === document.body) button.focus({preventScroll: true});
    }
  };

  document.addEventListener('submit', e => {
    if (e.defaultPrevented || !('steps' in e.target.dataset)) return;
    e.preventDefault();
    send(e.target, e.submitter);
  });
})();
