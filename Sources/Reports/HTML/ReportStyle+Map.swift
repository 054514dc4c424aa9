// SPDX-License-Identifier: Apache-2.0

/// The style of the map of photos. A picture appears for the photo under the pointer, else for the one that was
/// chosen, or that the tab key came to before any was; on whichever side of it there is more room.
extension ReportStyle {
  static let map = """

    .map{position:relative;width:100%;max-width:720px;aspect-ratio:1;margin:0 0 12px;
      background:var(--panel);border:1px solid var(--rule);border-radius:4px}
    .map label{position:absolute;width:16px;height:16px;margin:-8px 0 0 -8px;cursor:pointer}
    .map input{appearance:none;-webkit-appearance:none;display:block;width:10px;height:10px;margin:3px;
      cursor:pointer}
    .map input,.mark{background:var(--mark);border:1px solid var(--bg)}
    .marks{list-style:none;margin:0 0 12px;padding:0;display:flex;flex-wrap:wrap;gap:2px 18px;
      font-size:.9rem}
    .mark{display:inline-block;width:12px;height:12px}
    .m0{--mark:var(--s0)}.m1{--mark:var(--s1)}.m2{--mark:var(--s2)}.m3{--mark:var(--s3)}
    .m4{--mark:var(--s4)}
    .round input,.round .mark{border-radius:50%}
    .diamond input,.diamond .mark{transform:rotate(45deg)}
    .map label:hover,.map label:focus-within{z-index:2}
    .map input:checked{outline:2px solid var(--ink);outline-offset:2px}
    .shot{display:none;position:absolute;left:18px;top:8px;width:138px;padding:4px;z-index:3;
      background:var(--bg);border:1px solid var(--rule);font-size:.8rem;line-height:1.3;
      pointer-events:none}
    .l .shot{left:auto;right:18px}
    .u .shot{top:auto;bottom:8px}
    .shot i{display:block;width:128px;height:128px;background-image:var(--sheet);
      background-size:var(--sheet-size)}
    .shot b{display:block}
    .map input:checked+.shot,.map input:focus-visible+.shot{display:block}
    .map:hover label:not(:hover) input+.shot{display:none}
    .map label:hover input+.shot{display:block}
    @media print{.map{break-inside:avoid}.map input+.shot,.map input:checked+.shot{display:none}}
    """
}
