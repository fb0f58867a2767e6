// What scrolls can be reached by the keyboard, and says what it is.
window.addEventListener("load", () => {
  const boxes = document.querySelectorAll(
    ".md-typeset__scrollwrap, .jupyter-wrapper .highlight-ipynb, .jupyter-wrapper pre")
  for (const [number, box] of boxes.entries()) {
    if (box.scrollWidth > box.clientWidth) {
      box.tabIndex = 0
      box.setAttribute("role", "region")
      box.setAttribute("aria-label", `part ${number + 1}, scrolls to the side`)
    }
  }
})
