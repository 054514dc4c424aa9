// SPDX-License-Identifier: Apache-2.0

/// The report's style sheet; colours are ``ChartPalette``'s custom properties.
enum ReportStyle {
  static let css = """

    *{box-sizing:border-box}
    html{-webkit-text-size-adjust:100%}
    body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,-apple-system,
      "Segoe UI",Roboto,"Noto Sans","Liberation Sans",sans-serif;overflow-wrap:anywhere}
    header,main,footer{max-width:1080px;margin:0 auto;padding:0 20px}
    header{padding-top:36px}
    h1{font-size:1.7rem;line-height:1.2;font-weight:650;margin:0 0 4px}
    h2{font-size:1.2rem;font-weight:650;margin:0 0 10px}
    h3{font-size:1rem;font-weight:600;margin:20px 0 8px}
    h4{font-size:.95rem;font-weight:600;margin:16px 0 6px}
    h2+h3{margin-top:0}
    p{margin:0 0 10px;max-width:72ch}
    header p{margin-bottom:4px}
    .fine,footer{color:var(--soft)}
    .fine{font-size:.85rem}
    nav{padding:8px 0;border-bottom:1px solid var(--rule);font-size:.9rem}
    nav ul{list-style:none;margin:0;padding:0;display:flex;flex-wrap:wrap;gap:0 16px}
    .fine p,.headline p.fine{max-width:72ch}
    a{color:var(--s0);text-underline-offset:2px}
    nav a{text-decoration:none;padding:3px 0;display:inline-block}
    nav a:hover{text-decoration:underline}
    :focus-visible{outline:2px solid var(--s0);outline-offset:3px;border-radius:2px}
    main:focus{outline:none}
    .skip{position:absolute;left:20px;top:-4rem;background:var(--bg);padding:8px 12px;
      border:1px solid var(--s0);border-radius:4px}
    .skip:focus{top:8px}
    .heard{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);
      white-space:nowrap}
    section{padding:26px 0;border-bottom:1px solid var(--rule)}
    section:last-child{border-bottom:0}
    footer{padding:18px 20px 40px;font-size:.85rem;border-top:1px solid var(--rule)}
    .headline{display:flex;flex-wrap:wrap;align-items:center;gap:6px 28px;padding:28px 0;
      border-bottom:1px solid var(--rule)}
    .headline>div{flex:1 1 300px;min-width:0}
    .headline p{margin-bottom:4px}
    .figure{font-size:3.6rem;line-height:1;font-weight:650;letter-spacing:-.02em;margin:0;
      font-variant-numeric:tabular-nums;white-space:nowrap}
    .figure.few{font-size:2.6rem}
    .verdict{font-size:1.2rem;font-weight:600;line-height:1.35}
    .note{background:var(--panel);border-left:4px solid var(--soft);padding:12px 16px;
      margin:0 0 14px;border-radius:0 4px 4px 0}
    main>.note{margin-top:22px}
    .note p:last-child,.note ul{margin-bottom:0}
    .note ul{margin-top:0;padding-left:1.2em}
    .note .label{font-weight:650;margin-bottom:2px}
    .note.good{border-color:var(--good)}.note.good .label,strong.good{color:var(--good)}
    .note.warn{border-color:var(--warn)}.note.warn .label,strong.warn{color:var(--warn)}
    .note.bad{border-color:var(--bad)}.note.bad .label,strong.bad,span.bad{color:var(--bad)}
    .scroll,.table{overflow-x:auto;margin:0 0 12px}
    table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
    th,td{text-align:left;vertical-align:top;padding:5px 18px 5px 0;font-weight:400;
      border-bottom:1px solid var(--rule);max-width:30rem}
    th:last-child,td:last-child{padding-right:0}
    thead th{font-weight:600;color:var(--soft);vertical-align:bottom;overflow-wrap:normal}
    tbody th:not(.n),tbody td:not(.n){min-width:7.5rem}
    td .path,tbody th .path{display:inline-block;min-width:11rem}
    .meaning{display:block;color:var(--soft);font-size:.85rem;max-width:34rem}
    .terms{font-size:.85rem;color:var(--soft)}
    .terms p{margin:0 0 4px}
    dfn{font-style:normal;font-weight:600;color:var(--ink)}
    .n{text-align:right;white-space:nowrap}
    thead th.n{white-space:normal}
    dl{margin:0 0 12px;font-size:.94rem}
    dl>div{display:grid;grid-template-columns:minmax(8rem,13rem) 1fr;gap:0 16px;padding:4px 0;
      border-bottom:1px solid var(--rule)}
    dt{color:var(--soft)}dd{margin:0}
    pre,.path{font-family:ui-monospace,"SF Mono",Menlo,Consolas,"Liberation Mono",monospace;
      font-size:.85rem}
    .fine .path{font-size:.78rem}
    pre{background:var(--panel);padding:12px 14px;border-radius:4px;white-space:pre-wrap;margin:0 0 12px}
    .word{display:inline-block;max-width:100%}
    details{margin:0 0 12px}
    summary{cursor:pointer;font-weight:600;padding:6px 0}
    summary h3{display:inline;margin:0}
    #details>details{border-top:1px solid var(--rule);margin:0;padding:2px 0}
    #details>details[open]{padding-bottom:10px}
    .charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));
      gap:4px 40px}
    .charts>div{min-width:0;max-width:530px}
    figure{margin:0 0 12px}
    .chart svg{display:block;width:100%;height:auto;overflow:visible;font-size:12px}
    .chart svg svg{overflow:hidden}
    .chart text{fill:var(--ink)}
    .chart text.name,.chart .grid+text,.chart .axis+text{fill:var(--soft)}
    .chart .small{font-size:9px;fill:var(--soft)}
    .end{text-anchor:end}.mid,.cell{text-anchor:middle}
    .legend{display:flex;flex-wrap:wrap;gap:2px 16px;font-size:.85rem;margin:0 0 6px}
    .legend span{display:inline-flex;align-items:center;gap:6px}
    .chart svg.key{width:26px;height:8px;flex:none}
    .legend svg[viewBox^="0 0 12"].key{width:12px;height:10px}
    .grid,.axis{fill:none;stroke:var(--rule);stroke-width:1}
    .axis{stroke:var(--soft)}
    path.line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
    .c0{stroke:var(--s0)}.c1{stroke:var(--s1)}.c2{stroke:var(--s2)}.c3{stroke:var(--s3)}
    .c4{stroke:var(--s4)}path.faint{stroke:var(--soft);stroke-width:1;opacity:.75}
    .d1{stroke-dasharray:7 4}.d2{stroke-dasharray:2 4}.d3{stroke-dasharray:9 4 2 4}
    circle.line{fill:var(--bg);stroke-width:1.5;stroke-dasharray:none}
    .hover{fill:transparent}.hover:hover{fill:var(--soft);fill-opacity:.5}
    .mark{fill:none;stroke:var(--soft);stroke-width:1;stroke-dasharray:3 3}
    .mark.thin{stroke:var(--rule);stroke-dasharray:none}
    .f0{fill:var(--s0)}.f1{fill:var(--s1)}.f2{fill:var(--s2)}.f3{fill:var(--s3)}.f4{fill:var(--s4)}
    rect.right{fill:var(--right)}rect.wrong{fill:var(--wrong)}
    .frame{fill:none;stroke:var(--rule)}
    .cell{pointer-events:none}
    .chart text.lb{fill:#000}.chart text.lw{fill:#fff}
    @media screen and (prefers-color-scheme:dark){.chart text.db{fill:#000}.chart text.dw{fill:#fff}}
    .matrix svg.fit{width:auto;max-width:100%}
    .matrix svg.dense{width:auto;max-width:none}
    .augmented{margin:0 0 14px}
    .augmented>div{display:grid;grid-template-columns:repeat(auto-fill,minmax(96px,1fr));gap:6px;
      max-width:860px}
    .augmented img,.augmented .blank{width:100%;height:auto;aspect-ratio:1;display:block;
      border-radius:4px;background:var(--panel)}
    .augmented>div>:first-child{outline:3px solid var(--s0);outline-offset:-3px}
    .augmented figcaption{margin-top:4px}
    .gallery{list-style:none;margin:0;padding:0;display:grid;gap:20px 16px;
      grid-template-columns:repeat(auto-fill,minmax(140px,1fr))}
    .gallery p{margin:0;font-size:.9rem;line-height:1.35}
    .gallery img,.blank{width:100%;height:auto;aspect-ratio:1;object-fit:contain;background:var(--panel);
      border-radius:4px;display:flex;align-items:center;justify-content:center;margin-bottom:6px;
      color:var(--soft);font-size:.85rem}
    @media (max-width:560px){
      header{padding-top:22px}
      .figure{font-size:2.8rem}
      .figure.few{font-size:2rem}
      dl>div{grid-template-columns:1fr}
      th,td{padding-right:8px}
      tbody th:not(.n),tbody td:not(.n){min-width:4.6rem}
      .stacks,.stacks tbody,.stacks tr,.stacks th,.stacks td{display:block;max-width:none}
      .stacks thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
      .stacks tr{border-bottom:1px solid var(--rule);padding:8px 0}
      .stacks tbody th,.stacks tbody td{border:0;padding:1px 0;text-align:left;white-space:normal}
      .stacks tbody th{font-weight:600}
      .stacks tbody td{display:grid;grid-template-columns:minmax(6rem,9rem) 1fr;gap:0 12px}
      .stacks tbody td::before{content:attr(data-label);color:var(--soft)}
      .stacks .meaning{font-weight:400}
      .matrix svg.dense{max-width:100%;height:auto}
      .gallery{gap:16px 12px}
    }
    @media (max-width:430px){
      header,main,footer{padding:0 12px}
      table{font-size:.8rem}
      th,td{padding-right:5px}
    }
    @media print{
      @page{margin:15mm}
      html{font-size:12px}
      body{font-size:12px}
      th,td{padding-right:10px}
      tbody th:not(.n),tbody td:not(.n){min-width:4.6rem}
      header,main,footer{max-width:none;padding:0}
      nav,footer,.skip{display:none}
      section{padding:12pt 0}
      h2,h3,h4,.label{break-after:avoid}
      figure,.headline,.note,.gallery li,.charts>div,tr,pre{break-inside:avoid}
      .scroll,.table{overflow:visible}
      .charts{grid-template-columns:1fr 1fr;gap:4px 28px}
      .gallery{grid-template-columns:repeat(5,1fr)}
      .matrix svg.fit{max-height:200mm}
      .matrix svg.dense{max-width:100%;height:auto}
      a{color:inherit;text-decoration:none}
      details::details-content{content-visibility:visible;block-size:auto}
      summary{list-style:none}
      *{print-color-adjust:exact;-webkit-print-color-adjust:exact}
    }
    """
}
