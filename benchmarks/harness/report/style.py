"""How the HTML report looks: on phones, on paper, light and dark."""

STYLE = """\
:root { color-scheme: light dark; --text: #1b1f24; --back: #ffffff; --line: #d0d7de;
  --soft: #f3f5f7; --link: #0550ae; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e2e6ea; --back: #15191e; --line: #3a424b; --soft: #20262d; --link: #79b8ff; }
}
* { box-sizing: border-box; }
body { margin: 0; color: var(--text); background: var(--back);
  font: 1rem/1.55 system-ui, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 1rem 1.25rem 4rem; }
h1, h2 { line-height: 1.25; text-wrap: balance; }
h2 { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); }
p, li { max-width: 48rem; overflow-wrap: anywhere; }
li + li { margin-top: 0.25rem; }
a { color: var(--link); }
code { font: 0.9em ui-monospace, monospace; background: var(--soft); padding: 0.1em 0.3em;
  border-radius: 3px; }
pre { background: var(--soft); padding: 0.75rem 1rem; border-radius: 6px; overflow-x: auto; }
pre code { padding: 0; background: none; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.7rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); white-space: nowrap; }
.long { white-space: normal; min-width: 15rem; }
th { border-bottom-width: 2px; }
.right { text-align: right; }
figure { margin: 1.5rem 0; }
img { max-width: 100%; height: auto; background: #ffffff; border-radius: 6px; }
figcaption { font-size: 0.875rem; }
@media print {
  main { max-width: none; padding: 0; }
  table { font-size: 0.65rem; }
  th, td { white-space: normal; padding: 0.15rem 0.3rem; }
  .long { min-width: 0; }
  .scroll, pre { overflow: visible; }
  pre code { white-space: pre-wrap; }
  figure, tr { break-inside: avoid; }
  h2 { break-after: avoid; }
}
"""
