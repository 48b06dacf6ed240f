"""Style sheet of the HTML reports: light and dark, wide and narrow, without scripts and external resources."""

from __future__ import annotations

STYLE = """
:root{--ground:#fbfaf8;--card:#fff;--ink:#1d2129;--soft:#626a77;--line:#e3e0da;--accent:#2b5cad;
--s1:#2b6cb8;--s2:#c8551b;--s3:#2e8b57;--s4:#9b4f9f;--s5:#8a6d1d;--s6:#c2366b;--s7:#2a8f96;--s8:#5b6470}
@media (prefers-color-scheme:dark){:root{--ground:#15171b;--card:#1d2026;--ink:#e7e8ea;--soft:#9aa3b0;--line:#31363f;
--accent:#8ab4f0;--s1:#6aa8ef;--s2:#f0925f;--s3:#66c18c;--s4:#cc8fd0;--s5:#d3b45a;--s6:#ee7fa6;--s7:#62c3ca;
--s8:#a4adb9}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:70rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
h1{font-size:clamp(1.6rem,4vw,2.3rem);line-height:1.2;letter-spacing:-.015em;margin:0 0 .5rem}
h2{font-size:1.25rem;line-height:1.3;margin:0 0 .75rem}
h3{font-size:1rem;line-height:1.3;font-weight:600;margin:0 0 .5rem}
p{max-width:46rem;margin:0 0 1rem}
ul.points,ol.points{max-width:46rem;margin:0 0 1rem;padding-left:1.2rem}
p,li,h1,h2,h3,figcaption{overflow-wrap:break-word}
a{color:var(--accent)}
.links{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:.85rem;margin:0 0 1.25rem}
pre.commands{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.8rem 1rem;line-height:1.7}
details summary{cursor:pointer;color:var(--soft);margin-bottom:.75rem}
.hero{display:grid;gap:.8rem;grid-template-columns:repeat(auto-fit,minmax(16rem,1fr));margin:1.25rem 0 1.5rem}
.hero figcaption{font-size:.95rem;color:var(--ink)}
header p{color:var(--soft);font-size:1.06rem}
section{margin-top:2.75rem}
.note{color:var(--soft);border-left:3px solid var(--line);padding-left:.9rem;font-size:.92rem}
.figures{display:flex;flex-wrap:wrap;gap:.75rem;margin:1rem 0 1.25rem}
.figures div{flex:1 1 9rem;background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.8rem 1rem}
.figures strong{display:block;font-size:1.5rem;font-weight:650;font-variant-numeric:tabular-nums}
.figures span{color:var(--soft);font-size:.85rem}
.block{margin:0 0 1.25rem;overflow-x:auto}
table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums;min-width:min(100%,24rem)}
caption{text-align:left;color:var(--soft);padding-bottom:.4rem}
th,td{padding:.4rem .9rem .4rem 0;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child{text-align:left;font-weight:500}
tbody th{max-width:22rem;overflow:hidden;text-overflow:ellipsis}
td.words{text-align:left;white-space:normal;min-width:16rem}
h3:target,.row:target{color:var(--accent)}
thead th{color:var(--soft);font-weight:500;font-size:.85rem}
thead wbr{display:none}
tbody tr:last-child>*{border-bottom:0}
.grid{display:grid;gap:.6rem;grid-template-columns:repeat(var(--columns),minmax(7rem,1fr));
max-width:calc(var(--columns)*17rem)}
.grid.titled{grid-template-columns:var(--lead) repeat(var(--columns),minmax(7rem,1fr));
max-width:calc(var(--columns)*17rem + 9rem)}
.grid .end{display:none}
.column,.row{color:var(--soft);font-size:.85rem;align-self:end}
.row{align-self:start;padding-top:.2rem}
.column,.row,.which{overflow-wrap:normal;overflow:hidden;text-overflow:ellipsis}
.which{display:none}
.grid:not(.titled)>.row{display:none}
figure{margin:0;min-width:0}
figcaption{color:var(--soft);font-size:.8rem;margin-top:.2rem;font-variant-numeric:tabular-nums}
figure label{display:block;cursor:zoom-in}
figure label+label{margin-top:.2rem}
figure label+label img{outline:1px solid var(--line);outline-offset:-1px}
figure input{position:absolute;opacity:0;width:1px;height:1px}
figure input:focus-visible+img{outline:3px solid var(--accent);outline-offset:2px}
img{display:block;width:100%;height:auto;border-radius:.3rem;background:var(--line)}
img.small{image-rendering:pixelated}
figure input:checked+img{position:fixed;inset:0;z-index:9;width:100vw;height:100vh;object-fit:contain;padding:1.5rem;
border-radius:0;background:rgba(10,11,13,.93);cursor:zoom-out}
.absent{display:grid;place-items:center;aspect-ratio:1;border:1px dashed var(--line);border-radius:.3rem;
color:var(--soft);font-size:.85rem}
.chart{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.9rem 1rem;margin:0 0 1.25rem;
max-width:48rem}
.chart svg{display:block;width:100%;height:auto;font:12px system-ui,-apple-system,"Segoe UI",sans-serif}
.chart svg.narrow{display:none}
.chart text{fill:var(--soft)}
.chart .rule{stroke:var(--line);stroke-width:1}
.chart .axis{stroke:var(--soft);stroke-width:1}
.chart path{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}
.legend{display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;margin:0 0 .6rem;padding:0;list-style:none;font-size:.85rem}
.legend li{min-width:0;overflow:hidden;text-overflow:ellipsis;overflow-wrap:normal}
.legend li::before{content:"";display:inline-block;width:1.5rem;border-top:.2rem var(--d) var(--c);margin-right:.4rem;
vertical-align:middle}
.chart details summary{font-size:.85rem;margin:.4rem 0 0}
@media (max-width:44rem){
main{padding:1.5rem 1rem 3rem}
.chart{padding:.75rem .6rem}
.chart svg.wide{display:none}
.chart svg.narrow{display:block}
.grid,.grid.titled{grid-template-columns:repeat(var(--narrow),minmax(0,1fr))}
.grid .column,.grid .corner{display:none}
.grid>.row,.grid:not(.titled)>.row{display:block;grid-column:1/-1}
.grid.titled>.row{margin-top:.6rem;color:var(--ink);font-weight:500}
.which{display:block}
.block:has(table){overflow-x:visible}
table,tbody,tr,td,tbody th,caption{display:block}
thead{display:none}
tbody tr{border-bottom:1px solid var(--line);padding:.5rem 0}
tbody th,td{border:0;padding:.1rem 0;white-space:normal}
tbody th{font-weight:600;max-width:none}
td{display:flex;justify-content:space-between;gap:1rem}
td::before{content:attr(data-column);color:var(--soft);text-align:left;flex:none;max-width:45%;overflow:hidden;
text-overflow:ellipsis}
td.words{display:block;min-width:0}
td.words::before{display:block;max-width:none}
}
@media print{body{background:#fff}section{break-inside:avoid}}
"""
