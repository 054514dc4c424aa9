// SPDX-License-Identifier: Apache-2.0

import ThawReports

/// The page itself: one file without anything from elsewhere. Names from photos and classes reach it as JSON
/// and are put in place as text, never as markup.
enum ReviewPage {
  static func response(title: String) -> HTTPResponse {
    var random = SystemRandomNumberGenerator()
    let nonce = String(random.next(), radix: 16) + String(random.next(), radix: 16)
    let policy =
      "default-src 'none'; script-src 'nonce-\(nonce)'; style-src 'nonce-\(nonce)'; img-src 'self';"
      + " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return HTTPResponse(
      type: "text/html; charset=utf-8", body: Array(page(title, nonce).text.utf8),
      headers: [("Content-Security-Policy", policy)])
  }

  private static func page(_ title: String, _ nonce: String) -> Markup {
    """
    <!DOCTYPE html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Review: \(title)</title>
    <style nonce="\(nonce)">\(Markup(trusted: style))</style>
    </head>
    <body>
    <header>
    <h1>Review <bdi>\(title)</bdi></h1>
    <p id="progress" role="status" aria-live="polite">Loading…</p>
    <div class="bar" aria-hidden="true"><div id="done"></div></div>
    <form id="filters">
    <label>Show <select id="reason">
    <option value="">all reasons</option>
    <option value="suspicious">suspicious labels</option>
    <option value="mistake">mistakes</option>
    <option value="duplicate">same picture elsewhere</option>
    <option value="unlike">unlike the others</option>
    </select></label>
    <label>labelled <select id="class"><option value="">any class</option></select></label>
    <label>of <select id="split"><option value="">any split</option><option>train</option>\
    <option>valid</option><option>test</option></select></label>
    <label class="check"><input type="checkbox" id="open"> undecided only</label>
    </form>
    </header>
    <main>
    <p id="empty" hidden>No photo is left here. Choose another filter above.</p>
    <article id="card" hidden tabindex="-1" aria-labelledby="where">
    <div class="picture"><img id="photo" alt=""></div>
    <div class="side">
    <p id="why"></p>
    <dl>
    <div><dt>Labelled</dt><dd id="label"></dd></div>
    <div><dt>The model says</dt><dd id="predicted"></dd></div>
    <div id="suggested"><dt>May be</dt><dd id="suggestion"></dd></div>
    <div><dt>Decided</dt><dd id="decision"></dd></div>
    </dl>
    <div class="actions">
    <button id="keep" aria-keyshortcuts="k">Keep <kbd>k</kbd></button>
    <button id="take" aria-keyshortcuts="t"><span id="taken"></span> <kbd>t</kbd></button>
    <button id="drop" aria-keyshortcuts="d">Drop <kbd>d</kbd></button>
    <button id="undo" aria-keyshortcuts="u">Undo <kbd>u</kbd></button>
    </div>
    <form id="other"><label>Another class <kbd>r</kbd> <select id="choice"></select></label>\
    <button>Relabel</button></form>
    <div class="moves"><button id="back" aria-keyshortcuts="ArrowLeft">← Back</button>\
    <span id="place"></span><button id="next" aria-keyshortcuts="ArrowRight">Next →</button></div>
    <div id="twins" hidden><h2>The same picture elsewhere</h2><ul></ul></div>
    <p class="fine" id="where"></p>
    </div>
    </article>
    <p id="problem" role="alert" hidden></p>
    <section>
    <h2>What it brings</h2>
    <p>Trains the head with the labels as they were and as decided, and judges both by the same validation \
    photos. Nothing is changed by it.</p>
    <p><button id="gain">Measure</button></p>
    <p id="gained" role="status" aria-live="polite"></p>
    </section>
    <p class="fine">Photos stay where they are; decisions go to review.tsv in the run as they are made. \
    Keys: k keep, t take the suggestion, d drop, r another class (its first letters, then Enter), u undo, arrows \
    to move, Esc to leave a list.</p>
    </main>
    <script nonce="\(nonce)">\(Markup(trusted: script))</script>
    </body>
    </html>

    """
  }

  private static let style = """
    :root{color-scheme:light dark;--bg:#fff;--ink:#1b1f24;--soft:#59636e;--rule:#d1d9e0;--panel:#f6f8fa;
      --main:#0b5cad;--good:#1a7f37;--bad:#c0262d;--warn:#8a5a00}
    @media (prefers-color-scheme:dark){:root{--bg:#14171b;--ink:#e6eaef;--soft:#9aa5b1;--rule:#343b44;
      --panel:#1d2229;--main:#78b4ff;--good:#56c271;--bad:#ff8080;--warn:#e0b050}}
    *{box-sizing:border-box}
    body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,"Segoe UI",Roboto,
      "Noto Sans","Liberation Sans",sans-serif;overflow-wrap:anywhere}
    header,main{max-width:1200px;margin:0 auto;padding:0 20px}
    h1{font-size:1.3rem;margin:18px 0 2px}h2{font-size:1rem;margin:18px 0 6px}
    #progress{margin:0 0 6px;color:var(--soft)}
    .bar{height:6px;background:var(--rule);border-radius:3px;overflow:hidden}
    #done{height:100%;width:0;background:var(--good)}
    #filters{display:flex;flex-wrap:wrap;gap:8px 18px;margin:12px 0;font-size:.92rem}
    select,button{font:inherit;color:inherit;background:var(--panel);border:1px solid var(--rule);
      border-radius:6px;padding:6px 10px;max-width:100%}
    select{max-width:15rem}
    button{cursor:pointer;min-height:40px}
    button:hover:not(:disabled){border-color:var(--main)}
    button:disabled{opacity:.5;cursor:default}
    :focus-visible{outline:2px solid var(--main);outline-offset:2px}
    .check{display:flex;align-items:center;gap:6px}
    #card{display:grid;grid-template-columns:minmax(0,3fr) minmax(280px,2fr);gap:24px;
      border-top:1px solid var(--rule);padding-top:16px}
    #card[hidden]{display:none}
    #card:focus{outline:none}
    .picture{background:var(--panel);border-radius:6px;display:flex;align-items:center;
      justify-content:center;min-height:260px}
    .picture img{max-width:100%;max-height:68vh;display:block;object-fit:contain}
    #why{margin:0 0 8px;font-weight:600;color:var(--warn)}
    dl{margin:0 0 12px}dl>div{display:grid;grid-template-columns:8.5rem 1fr;gap:10px;padding:4px 0;
      border-bottom:1px solid var(--rule)}
    dt{color:var(--soft)}dd{margin:0;font-weight:600}
    dl>div[hidden]{display:none}
    .keep{color:var(--good)}.relabel{color:var(--main)}.drop{color:var(--bad)}
    .actions{display:grid;grid-template-columns:1fr 1fr;gap:8px;margin-bottom:10px}
    .actions button{text-align:left}
    kbd{font:.8rem ui-monospace,Menlo,Consolas,monospace;border:1px solid var(--rule);border-radius:4px;
      padding:1px 5px;color:var(--soft)}
    #other{display:flex;flex-wrap:wrap;gap:8px;align-items:end;margin-bottom:12px}
    .moves{display:flex;justify-content:space-between;align-items:center;gap:8px}
    #place{color:var(--soft);font-variant-numeric:tabular-nums}
    #twins ul{list-style:none;margin:0;padding:0;display:grid;gap:10px;
      grid-template-columns:repeat(auto-fill,minmax(110px,1fr))}
    #twins img{width:100%;aspect-ratio:1;object-fit:contain;background:var(--panel);border-radius:4px}
    #twins p{margin:0;font-size:.85rem}
    .fine{font-size:.85rem;color:var(--soft)}
    section{border-top:1px solid var(--rule);margin-top:22px}
    #problem{color:var(--bad);font-weight:600}
    @media (max-width:760px){
      header,main{padding:0 12px}
      #card{grid-template-columns:minmax(0,1fr);gap:12px}
      .picture{min-height:0}.picture img{max-height:46vh}
    }
    """

  private static let script = """
    'use strict';
    const $ = id => document.getElementById(id);
    const reasons = {suspicious: 'Its label is contradicted by others', mistake: 'The model answers otherwise',
      duplicate: 'The same picture is elsewhere', unlike: 'Unlike the training photos'};
    let items = [], decisions = {}, shown = [], at = 0, busy = false;
    const current = () => shown[at];
    // A name keeps its own writing direction, and does not turn round what stands beside it.
    const isolated = name => '\\u2068' + name + '\\u2069';
    // Off a list, whose keys are its own, so that those of the page work again.
    const leave = () => $('card').focus({preventScroll: true});
    const stored = () => { try { return JSON.parse(sessionStorage.getItem(location.pathname) || '{}'); }
      catch (e) { return {}; } };
    const remember = () => { try { sessionStorage.setItem(location.pathname, JSON.stringify({
      reason: $('reason').value, class: $('class').value, split: $('split').value,
      open: $('open').checked, id: current() ? current().id : null})); } catch (e) {} };
    async function ask(path, body) {
      const response = await fetch(path, body === undefined ? {} : {method: 'POST',
        headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body)});
      if (!response.ok) throw new Error((await response.text()).trim());
      return response.json();
    }
    function problem(error) {
      $('problem').textContent = error ? (error instanceof TypeError ?
        'thaw review does not answer any more. What was decided is kept; start it again.' : error.message) : '';
      $('problem').hidden = !error;
    }
    function filter(keep) {
      const id = keep === undefined ? null : keep;
      shown = items.filter(item =>
        (!$('reason').value || item.reasons.includes($('reason').value)) &&
        (!$('class').value || item.label === $('class').value.slice(1)) &&
        (!$('split').value || item.split === $('split').value) &&
        (!$('open').checked || !decisions[item.id] || item.id === id));
      const place = shown.findIndex(item => item.id === id);
      at = place >= 0 ? place : Math.min(at, Math.max(shown.length - 1, 0));
      show();
    }
    function word(decision) {
      if (!decision) return 'nothing yet';
      return decision.action === 'relabel' ? 'is ' + isolated(decision.label) :
        decision.action === 'drop' ? 'dropped' : 'kept as it is';
    }
    function show() {
      const count = items.filter(item => decisions[item.id]).length;
      $('progress').textContent = count + ' of ' + items.length + ' decided';
      $('done').style.width = (items.length ? 100 * count / items.length : 100) + '%';
      const item = current();
      $('card').hidden = !item; $('empty').hidden = !!item;
      remember();
      if (!item) return;
      $('photo').src = 'photo/' + item.id;
      $('photo').alt = 'Photo labelled ' + item.label;
      $('why').textContent = item.reasons.map(reason => reasons[reason]).join('. ') + '.';
      $('label').textContent = item.label;
      $('predicted').textContent = isolated(item.predicted) + ' (' + Math.round(100 * item.probability) + ' %)';
      $('suggested').hidden = !item.suggestion;
      $('suggestion').textContent = item.suggestion || '';
      $('take').disabled = !item.suggestion;
      $('taken').textContent = item.suggestion ? 'It is ' + isolated(item.suggestion) : 'No suggestion';
      const decision = decisions[item.id];
      $('decision').textContent = word(decision);
      $('decision').className = decision ? decision.action : '';
      $('where').textContent = isolated(item.path) + ' · ' + item.split;
      $('place').textContent = (at + 1) + ' of ' + shown.length;
      $('back').disabled = at === 0; $('next').disabled = at >= shown.length - 1;
      $('choice').value = ':' + (decision && decision.label || item.suggestion || item.label);
      $('twins').hidden = !item.twins.length;
      $('twins').querySelector('ul').replaceChildren(...item.twins.map(twin => {
        const entry = document.createElement('li'), image = document.createElement('img'),
          text = document.createElement('p'), path = document.createElement('p');
        image.src = 'photo/' + twin.id; image.alt = ''; text.textContent = twin.label;
        path.textContent = twin.path; path.className = 'fine';
        entry.append(image, text, path);
        return entry;
      }));
      if (shown[at + 1]) new Image().src = 'photo/' + shown[at + 1].id;
    }
    function step(by) {
      at = Math.max(0, Math.min(shown.length - 1, at + by));
      show();
    }
    async function send(path, body) {
      if (busy) return null;
      busy = true;
      try { problem(null); return await ask(path, body); }
      catch (error) { problem(error); return null; }
      finally { busy = false; }
    }
    function take(changed) {
      if (changed.decision) decisions[changed.id] = changed.decision; else delete decisions[changed.id];
    }
    async function decide(action, label) {
      const item = current();
      if (!item) return;
      const changed = await send('decide', {id: item.id, action: action, label: label});
      if (!changed) return;
      take(changed);
      if ($('open').checked) filter(); else if (at < shown.length - 1) step(1); else show();
    }
    async function undo() {
      const changed = await send('undo', {});
      if (!changed) return;
      take(changed);
      filter(changed.id);
    }
    function options(select, names) {
      for (const name of names) {
        const option = document.createElement('option');
        option.value = ':' + name; option.textContent = name;
        select.append(option);
      }
    }
    $('keep').onclick = () => decide('keep');
    $('drop').onclick = () => decide('drop');
    $('take').onclick = () => { const item = current();
      if (item && item.suggestion) decide('relabel', item.suggestion); };
    $('undo').onclick = undo;
    $('back').onclick = () => step(-1);
    $('next').onclick = () => step(1);
    $('other').onsubmit = event => { event.preventDefault();
      const label = $('choice').value.slice(1), item = current();
      if (item) { label === item.label ? decide('keep') : decide('relabel', label); leave(); } };
    $('filters').onsubmit = event => event.preventDefault();
    for (const id of ['reason', 'class', 'split', 'open'])
      $(id).onchange = () => { at = 0; filter(); };
    $('gain').onclick = async () => {
      $('gain').disabled = true; $('gained').textContent = 'Training two heads…';
      try { $('gained').textContent = (await ask('gain', {})).text; }
      catch (error) { $('gained').textContent = error.message; }
      $('gain').disabled = false;
    };
    document.addEventListener('keydown', event => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.tagName === 'SELECT') {
        if (event.key === 'Escape') leave();
        if (event.key === 'Enter' && event.target.id === 'choice') {
          event.preventDefault();
          $('other').requestSubmit();
        }
        return;
      }
      const keys = {k: () => decide('keep'), d: () => decide('drop'), t: () => $('take').click(), u: undo,
        r: () => $('choice').focus(), ArrowLeft: () => step(-1), ArrowRight: () => step(1)};
      if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
    });
    (async () => {
      try {
        const all = await ask('items');
        items = all.items; decisions = all.decisions;
        options($('class'), all.classes); options($('choice'), all.classes);
        const old = stored();
        for (const id of ['reason', 'class', 'split']) {
          $(id).value = old[id] || '';
          if ($(id).selectedIndex < 0) $(id).value = '';
        }
        $('open').checked = !!old.open;
        const first = items.find(item => !decisions[item.id]);
        filter(old.id != null ? old.id : first ? first.id : null);
      } catch (error) { problem(error); }
    })();
    """
}
