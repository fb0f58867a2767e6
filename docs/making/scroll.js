// What scrolls can be reached by the keyboard, and says what it is.
window.addEventListener("load", () => {
  for (const [number, box] of document.querySelectorAll(".md-typeset__scrollwrap").entries()) {
    if (box.scrollWidth > box.clientWidth) {
      box.tabIndex = 0
      box.setAttribute("role", "region")
      box.setAttribute("aria-label", `table ${number + 1}, scrolls to the side`)
    }
  }
})
