"""What a hostile mail may try. URL stands for an address that must get no request."""

from __future__ import annotations

ATTACKS = {
    "script": "<script>pwned()</script><SCRIPT SRC=URL></SCRIPT>",
    "script unclosed": "<script>pwned()",
    "script in pieces": "<scr<script>ipt>pwned()</scr</script>ipt>",
    "script in odd case": "<ScRiPt\n>pwned()</sCrIpT >",
    "script with a slash": "<script/src=URL></script>",
    "script after NUL": "<\0script>pwned()</script><scr\0ipt>pwned()</script>",
    "event handlers": (
        "<img src=x onerror=pwned()><body onload=pwned()><p onmouseover='pwned()'>x"
        "<details open ontoggle=pwned()><video><source onerror=pwned()></video>"
        "<svg onload=pwned()><input autofocus onfocus=pwned()><marquee onstart=pwned()>"
    ),
    "event handler, odd separators": "<img/src=x/onerror=pwned()><img\x0csrc=x\x0conerror=pwned()>",
    "event handler after a quote": (
        "<img alt=\"x\"onerror=pwned() src=x><img title='a'onload=pwned()>"
    ),
    "event handler in an attribute": '<p title="</p><img src=x onerror=pwned()>">',
    "event handler in a backtick": "<img src=`x`onerror=pwned()`>",
    "javascript: link": (
        "<a href=javascript:pwned()>a</a><a href='java\nscript:pwned()'>a</a>"
        "<a href='&#106;avascript:pwned()'>a</a><a href=' \x01javascript:pwned()'>a</a>"
        "<area href=javascript:pwned()><a href=vbscript:pwned()>a</a>"
        "<a href='data:text/html,<script>pwned()</script>'>a</a>"
    ),
    "meta refresh": "<meta http-equiv=refresh content='0;url=URL'>",
    "meta refresh to data": "<META HTTP-EQUIV='Refresh' CONTENT='0;url=data:text/html,pwned'>",
    "meta policy": "<meta http-equiv=Content-Security-Policy content='default-src *'>",
    "base": "<base href=URL target=_top><img src=x><a href=y>y</a>",
    "iframes": (
        "<iframe src=URL></iframe><iframe src=javascript:pwned()></iframe>"
        "<iframe srcdoc='<script>pwned()</script><img src=URL>'></iframe>"
    ),
    "frameset": "<frameset><frame src=URL></frameset>",
    "frames in noframes": "<noframes><iframe src=URL></noframes><noembed><img src=URL></noembed>",
    "object": "<object data=URL type=text/html><param name=src value=URL></object>",
    "embed": "<embed src=URL><applet code=URL></applet>",
    "form": (
        "<form action=URL method=post><input name=x><button formaction=URL>send</button>"
        "<input type=image src=URL><input type=submit></form><isindex action=URL>"
    ),
    "preconnect": (
        "<link rel=preconnect href=URL><link rel=dns-prefetch href=URL><link rel=preload as=image"
        " href=URL><link rel=prefetch href=URL><link rel=prerender href=URL>"
        "<link rel=modulepreload href=URL><link rel=stylesheet href=URL><link rel=icon href=URL>"
        "<link rel=manifest href=URL><link rel=import href=URL>"
    ),
    "speculation rules": (
        '<script type=speculationrules>{"prerender":[{"source":"list","urls":["URL"]}]}</script>'
    ),
    "images": (
        "<img src=URL><img srcset='URL 1x'><picture><source srcset=URL><img src=URL></picture>"
        "<image src=URL><img lowsrc=URL dynsrc=URL><input type=image src=URL>"
    ),
    "backgrounds": "<body background=URL><table background=URL><td background=URL>x",
    "video and audio": (
        "<video src=URL poster=URL autoplay></video><audio src=URL autoplay></audio>"
        "<video><source src=URL><track src=URL default></video><bgsound src=URL>"
    ),
    "link ping": "<a href=http://127.0.0.1:9/ ping=URL>a</a>",
    "style": (
        "<style>@import 'URL'; @import url(URL); body{background:url(URL)} "
        "@font-face{font-family:x;src:url(URL)} p{font-family:x;list-style:url(URL);"
        "content:url(URL);cursor:url(URL),auto;border-image:url(URL)}</style><p>x"
    ),
    "style escapes": (
        "<style>@\\69mport 'URL'; p{background:u\\72 l(URL)} p{background:\\75\\72\\6c(URL)}"
        "p{background:ur/**/l(URL)} p{background:image-set('URL' 1x)}</style><p>x"
        "<p style='background:u\\72l(URL)'>x<p style='background:&#117;rl(URL)'>x"
        "<p style=\"background:image-set('URL' 1x)\">x"
    ),
    "style string tricks": (
        '<style>p{content:\'\n;background:url(URL)}\n q{content:"a\\";background:url(URL)}"}'
        "a[title='}p{background:url(URL)}']{color:red}</style><p>x<q>y</q>"
    ),
    "style with newer rules": (
        "<style media='x){}@import \"URL\";@media('>p{color:red}</style>"
        "<style media=url(URL)>p{color:red}</style>"
        "<style>@supports (background:url(URL)){p{background:url(URL)}}@layer a{@import 'URL';}"
        "@import url(URL) layer(a);@media all{@import 'URL';p{--x:url(URL);background:var(--x)}}"
        "p{--y:'URL';background:image-set(var(--y) 1x);background:var(--z,url(URL))}"
        "p{&:hover,b{background:url(URL)}}@container (width>0){p{background:url(URL)}}"
        "@property --p{syntax:'<url>';inherits:true;initial-value:url(URL)}</style>"
        "<html style='background:url(URL)'><p style='--x:url(URL);background:var(--x)'><b>x</b>"
    ),
    "style escapes of quotes": (
        '<style>p{content:\'\\27;background:url(URL)}b{content:"\\\n";background:url(URL)}'
        "@\\000069mport 'URL';p{background:\\000075 rl(URL)}p{\\62 ackground:ur\\6c\t(URL)}"
        "p{background:u\\\nrl(URL)}p{background:\\55\\52\\4c('URL')}</style><p>x<b>y</b>"
    ),
    "style ends early": "<style>p{content:'</style><img src=x onerror=pwned()>'}</style><p>x",
    "style with CDATA": "<style><![CDATA[</style><script>pwned()</script>]]></style>",
    "style attribute breaks out": '<p style="color:red&quot; onmouseover=&quot;pwned()">x',
    "style covers the page": "<div style='position:fixed;inset:0;z-index:9999;background:red'>x",
    "svg": (
        "<svg><script>pwned()</script><image href=URL /><use xlink:href='URL#x'/>"
        "<a xlink:href='javascript:pwned()'><text>x</text></a><foreignObject><iframe src=URL>"
        "</iframe></foreignObject><animate onbegin=pwned() attributeName=x dur=1s />"
        "<set attributeName=href to=javascript:pwned() /><style>@import 'URL';</style></svg>"
    ),
    "math": (
        "<math><mtext><script>pwned()</script></mtext><maction actiontype=statusline"
        " xlink:href=javascript:pwned()>x</maction><annotation-xml encoding=text/html>"
        "<img src=x onerror=pwned()></annotation-xml></math>"
    ),
    "mutation: svg and style": "<svg><style><img src=x onerror=pwned()></style></svg>",
    "mutation: math and mglyph": (
        "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1"
        " onerror=pwned()&gt;'>"
    ),
    "mutation: form and svg": (
        "<form><math><mtext></form><form><mglyph><svg><mtext><style><path id='</style>"
        "<img src=x onerror=pwned()>'>"
    ),
    "mutation: noscript": "<noscript><p title='</noscript><img src=x onerror=pwned()>'>",
    "mutation: template": "<template><img src=URL><script>pwned()</script></template>",
    "mutation: textarea and title": (
        "<textarea><img title='</textarea><img src=x onerror=pwned()>'></textarea>"
        "<title><a title='</title><img src=x onerror=pwned()>'>"
    ),
    "mutation: xmp and plaintext": "<xmp><p title='</xmp><img src=x onerror=pwned()>'>x</xmp>"
    "<plaintext><img src=x onerror=pwned()>",
    "mutation: comments": (
        "<!--><img src=x onerror=pwned()>--><!---><img src=x onerror=pwned()>-->"
        "<!--x--!><img src=x onerror=pwned()>--><!-- --!><script>pwned()</script> -->"
        "<![CDATA[<img src=x onerror=pwned()>]]><!x><?x ><img src=x onerror=pwned()>?>"
    ),
    "mutation: select": "<select><option><img src=URL onerror=pwned()></option></select>",
    "conditional comment": "<!--[if gte IE 4]><script>pwned()</script><![endif]-->",
    "end of the document": "</body></html><script>pwned()</script><img src=URL>",
    "end of the frame": "</iframe></section></main><script>pwned()</script>",
    "unclosed tag": "<img src=x onerror=pwned() ",
    "unclosed quote": "<p title=\"x><script>pwned()</script><img src='URL'>",
    "entities": "&lt;script&gt;pwned()&lt;/script&gt;&#60;img src=x onerror=pwned()&#62;",
    "encodings": "<meta charset=utf-7>+ADw-script+AD4-pwned()+ADw-/script+AD4-",
    "dom clobbering": "<a id=parent name=top><img name=body><form id=document>",
    "import map and html import": "<script type=importmap>{}</script><link rel=import href=URL>",
    "portal and fencedframe": "<portal src=URL></portal><fencedframe src=URL></fencedframe>",
    "custom element": "<x-a onclick=pwned() is=y><slot onslotchange=pwned()></slot></x-a>",
    "popover and dialog": "<dialog open onclose=pwned()><button popovertarget=x>y</dialog>",
}

# The pieces of random soups
FRAGMENTS = [
    *"<>/= \n'\"`&;!\\\0{}()x",
    *("--", "@import ", "url(", "<!--", "-->", "<![CDATA[", "]]>", "<?", "</", "/>", "<p", "<a "),
    *("<img src=x onerror=pwned()>", "<script>", "</script>", "<style>", "</style>", "<svg>"),
    *("</svg>", "<math>", "<mtext>", "<table>", "<td>", "<title>", "</title>", "<textarea>"),
    *("</textarea>", "<xmp>", "</xmp>", "<noscript>", "<template>", "<iframe srcdoc='", "<form>"),
    *("</form>", "<b>", "</b>", "<div style='", "onload=pwned()", "href=javascript:pwned()"),
    *("&lt;", "&quot;", "&#x3c;", "&#39;", "\\75rl(", "/*", "*/", "@media all{", "color:red;"),
    *("<body ", "<html ", "<select>", "<option>", "<plaintext>", "<foreignObject>", "title='"),
]
