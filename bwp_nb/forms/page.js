// Runs when a form appears; `form` is its outermost element. Scripts in the HTML of a widget do not run, but an
// attribute of it does, in JupyterLab and in Voila.

// Keys do not leave the form: JupyterLab would take an X on a button, for example, to cut the cell with the form, and
// Ctrl+Z in a field to undo what was typed in the cell, which the browser does where nothing can be typed. Ctrl and
// other keys, such as Ctrl+S, are commands as usual.
// A key that is held down, and the second click of a double click, press a button once.
form.onkeydown = (event) => {
  const isText = event.target.matches("input, textarea");
  const isControl = event.ctrlKey || event.metaKey;
  if (event.repeat && event.target.matches("button")) event.preventDefault();
  if (isControl && !isText && /^[yz]$/i.test(event.key)) event.preventDefault();
  if (!isControl || /^([amyz]|enter|backspace|arrow.*)$/i.test(event.key)) event.stopPropagation();
};
form.addEventListener("click", (event) => {
  if (event.detail > 1 && event.target.closest(".bwp-once")) event.stopImmediatePropagation();
}, true);

// Repeats an action until it succeeds, because the widgets of a form appear one after another.
const retry = (act, left = 200) => {
  if (!act() && left > 0) setTimeout(retry, 50, act, left - 1);
};

// The focus of a control that is removed or hidden goes to the place that the form has marked a moment ago, or else to
// the list: JupyterLab would take the next keys as commands.
let focused = null;
let marked = 0;
form.addEventListener("focusin", (event) => {
  focused = event.target;
});
form.addEventListener("focusout", (event) => {
  if (event.relatedTarget && !form.contains(event.relatedTarget)) focused = null;
});
const focusMarked = () => retry(() => {
  const place = form.querySelector("button.bwp-focus, .bwp-focus :is(input, select, textarea)");
  if (place?.offsetParent) place.focus();
  return place?.offsetParent;
});
new MutationObserver(() => {
  if (focused === null || focused.offsetParent !== null) return;
  if (document.activeElement !== focused && form.contains(document.activeElement)) return;
  if (Date.now() - marked < 2000) focusMarked();
  else form.querySelector("select")?.focus();
}).observe(form, { childList: true, subtree: true, attributes: true, attributeFilter: ["class"] });

form.bwp = {
  // Says that all that was typed before has been sent.
  answer() {
    const button = form.querySelector(".bwp-answer");
    button?.click();
    return button !== null;
  },

  // Moves the focus to the place that the form has marked.
  focus() {
    marked = Date.now();
    focusMarked();
  },

  // Copies the text beside a button; a page without HTTPS has no clipboard object.
  copy(button) {
    const box = button.parentNode;
    const text = box.querySelector("pre").textContent;
    const done = () => {
      box.querySelector("[role=status]").textContent = "Copied.";
    };
    if (navigator.clipboard) {
      navigator.clipboard.writeText(text).then(done);
      return;
    }
    const area = document.createElement("textarea");
    area.value = text;
    box.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
    done();
  },
};

retry(form.bwp.answer);
