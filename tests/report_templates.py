"""Twenty mails, written in the manner of six kinds of templates, to compare how they look.

The kinds: MJML's output, Foundation for Emails, Mailchimp, Cerberus, Postmark, and the plain mails
of shops and sites. A browser shows each without a connection, so their remote images are missing.
"""

from __future__ import annotations

XHTML = (
    '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" '
    '"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">'
)
LOREM = (
    "Thank you for your order. We pack it today and write again as soon as the parcel is on its "
    "way "
    "to you. The invoice is attached, and you find it in your account as well. "
)


def _mjml(body: str, style: str = "") -> str:
    return f"""<!doctype html><html lang="en" xmlns:v="urn:schemas-microsoft-com:vml"><head>
<title>Mail</title><meta http-equiv="Content-Type" content="text/html; charset=UTF-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style type="text/css">#outlook a {{ padding:0; }} body {{ margin:0;padding:0;
-webkit-text-size-adjust:100%;-ms-text-size-adjust:100%; }}
table, td {{ border-collapse:collapse;mso-table-lspace:0pt;mso-table-rspace:0pt; }}
img {{ border:0;height:auto;line-height:100%; outline:none;text-decoration:none; }}
p {{ display:block;margin:13px 0; }}</style>
<!--[if mso]><style>.mj-outlook-group-fix {{ width:100% !important; }}</style><![endif]-->
<style type="text/css">@media only screen and (min-width:480px) {{
.mj-column-per-50 {{ width:50% !important; max-width: 50%; }}
.mj-column-per-100 {{ width:100% !important; max-width: 100%; }} }} {style}</style>
<style media="screen and (min-width:480px)">.moz-text-html .mj-column-per-50 {{ width:50%
 !important }}
</style></head><body style="word-spacing:normal;background-color:#f4f4f4;">
<div style="display:none;font-size:1px;color:#fff;max-height:0;overflow:hidden">Preview</div>
<div style="background-color:#f4f4f4;">{body}</div></body></html>"""


def _section(*columns: str, back: str = "#ffffff") -> str:
    share = 100 // len(columns)
    cells = "".join(
        f'<div class="mj-column-per-{share} mj-outlook-group-fix" style="font-size:0px;'
        "text-align:left;direction:ltr;display:inline-block;vertical-align:top;width:100%;"
        f'"><table border="0" cellpadding="0" cellspacing="0" role="presentation" width="100%">'
        f'<tr><td align="left" style="font-size:0px;padding:10px 25px;word-break:break-word;">'
        f'<div style="font-family:Ubuntu, Helvetica, Arial;font-size:13px;line-height:1.5;">'
        f"{each}</div></td></tr></table></div>"
        for each in columns
    )
    return (
        f'<div style="background:{back};margin:0px auto;max-width:600px;"><table align="center" '
        f'border="0" cellpadding="0" cellspacing="0" style="background:{back};width:100%;"><tbody>'
        f'<tr><td style="direction:ltr;font-size:0px;padding:20px 0;text-align:center;">{cells}'
        "</td></tr></tbody></table></div>"
    )


_BUTTON = (
    '<table border="0" cellspacing="0" style="border-collapse:separate;line-height:100%;"><tr>'
    '<td align="center" bgcolor="#414141" style="border:none;border-radius:3px;background:#414141">'
    '<a href="https://shop.example/" style="display:inline-block;background:#414141;color:#ffffff;'
    'font-size:13px;line-height:120%;text-decoration:none;padding:10px 25px;">Go to '
    "it</a></td></tr>"
    "</table>"
)


def _foundation(body: str, style: str = "") -> str:
    return f"""{XHTML}<html xmlns="http://www.w3.org/1999/xhtml" lang="en"><head>
<meta name="viewport" content="width=device-width"><style>
.wrapper {{ width: 100%; }} body {{ width:100% !important; min-width: 100%; margin: 0; padding:
 0; }}
table {{ border-spacing: 0; border-collapse: collapse; }} td {{ word-wrap: break-word; hyphens:
 auto; }}
table, tr, td {{ padding: 0; vertical-align: top; text-align: left; }}
table.body, td, p, h1, h2, a {{ color: #0a0a0a; font-family: Helvetica, Arial, sans-serif;
 margin: 0; }}
a {{ color: #2199e8; text-decoration: none; }} a:visited {{ color: #2199e8; }}
table.button table td a:link, table.button a:visited {{ color: #fefefe; }}
table.container {{ background: #fefefe; width: 580px; margin: 0 auto; }}
th.columns {{ padding: 0 8px 16px; font-weight: normal; text-align: left; }}
th.small-6 {{ width: 274px; }} th.small-12 {{ width: 564px; }} .hide-for-large {{ display: none; }}
table.callout th {{ border: 1px solid #cbcbcb; padding: 10px; background: #e6f5ff; }}
@media only screen and (max-width: 596px) {{
  table.body .container {{ width: 95% !important; }} .hide-for-large {{ display: block
 !important; }}
  table.body .columns {{ height: auto !important; box-sizing: border-box; padding-left: 16px; }}
  th.small-6 {{ display: inline-block !important; width: 50% !important; }}
  th.small-12 {{ display: inline-block !important; width: 100% !important; }} }} {style}
</style></head><body><table class="body" data-made-with-foundation width="100%"><tr>
<td class="float-center" align="center" valign="top"><center data-parsed>{body}</center></td></tr>
</table></body></html>"""


def _row(*columns: str, small: int = 12) -> str:
    cells = "".join(
        f'<th class="small-{small} columns"><table><tr><th>{each}</th></tr></table></th>'
        for each in columns
    )
    return (
        '<table align="center" class="container float-center"><tbody><tr><td><table class="row">'
        f"<tbody><tr>{cells}</tr></tbody></table></td></tr></tbody></table>"
    )


def _mailchimp(body: str) -> str:
    return f"""<!doctype html><html><head><!-- NAME: 1 COLUMN --><style type="text/css">
p{{ margin:10px 0; padding:0; }} table{{ border-collapse:collapse; }}
h1,h2,h3{{ display:block; margin:0; padding:0; }} img,a img{{ border:0; height:auto; }}
body,#bodyTable,#bodyCell{{ height:100%; margin:0; padding:0; width:100%; }}
#bodyTable{{ /*@editable*/background-color:#FAFAFA; /*@editable*/background-image:none; }}
.templateContainer{{ max-width:600px !important; border:0; }}
#templateHeader{{ background:#FFFFFF url("https://cdn.example/head.png") no-repeat center/cover;
 border-top:0; border-bottom:2px solid #EAEAEA; padding:9px; }}
.mcnTextContent{{ word-break:break-word; }} .mcnTextContent a{{ color:#007C89; }}
#templateBody .mcnTextContent,#templateBody .mcnTextContent p{{
 /*@editable*/color:#202020; font-family:Helvetica; font-size:16px; line-height:150%; }}
.mcnDividerContent{{ border-top:2px solid #EAEAEA; }} a.mcnButton{{ display:block; }}
@media only screen and (max-width: 480px){{ body{{ width:100% !important; min-width:100%
 !important; }}
 .columnWrapper{{ max-width:100% !important; width:100% !important; }} h1{{ font-size:22px
 !important; }} }}
</style></head><body><center><table align="center" border="0" cellpadding="0" cellspacing="0"
 height="100%" width="100%" id="bodyTable"><tr><td align="center" valign="top" id="bodyCell">
<table border="0" cellpadding="0" cellspacing="0" width="100%" class="templateContainer"><tr>
<td valign="top" id="templateHeader"><h1>News of <nobr>the shop</nobr></h1></td></tr><tr>
<td valign="top"
 id="templateBody">{body}</td></tr></table></td></tr></table></center></body></html>"""


def _text_block(text: str) -> str:
    return (
        '<table border="0" cellpadding="0" cellspacing="0" width="100%" style="min-width:100%;">'
        '<tbody><tr><td valign="top" style="padding-top:9px;"><table align="left" border="0" '
        'style="max-width:100%; min-width:100%;" width="100%"><tbody><tr><td '
        'class="mcnTextContent" '
        f'style="padding:0 18px 9px;">{text}</td></tr></tbody></table></td></tr></tbody></table>'
    )


def _cerberus(body: str, style: str = "") -> str:
    return f"""<!DOCTYPE html><html lang="en" dir="ltr"><head><meta name="color-scheme"
content="light dark">
<style>:root {{ color-scheme: light dark; --accent: #26a4d3; }}
html, body {{ margin: 0 auto !important; padding: 0 !important; height: 100% !important; }}
* {{ -ms-text-size-adjust: 100%; -webkit-text-size-adjust: 100%; }}
table {{ border-spacing: 0 !important; border-collapse: collapse !important; table-layout: fixed; }}
table table table {{ table-layout: auto; }} img {{ -ms-interpolation-mode: bicubic; }}
a[x-apple-data-detectors] {{ color: inherit !important; }} u + #body a {{ color: inherit; }}
.button-a {{ background: var(--accent); border: 15px solid var(--accent, #222); }}
@supports (display: flex) {{ .row {{ display: flex; gap: 8px }} }}
@media screen and (max-width: 600px) {{ .email-container {{ width: 100% !important; }}
 .stack-column {{ display: block !important; width: 100% !important; direction: ltr !important;
 }} }}
{style}</style></head><body id="body" width="100%" style="background-color: #f1f1f1;">
<center role="article" lang="en" style="width: 100%; background-color: #f1f1f1;">
<div style="max-height:0; overflow:hidden;" aria-hidden="true">Preview &zwnj;&nbsp;</div>
<table align="center" role="presentation" cellspacing="0" cellpadding="0" border="0" width="600"
 style="margin: auto;" class="email-container">{body}</table></center></body></html>"""


def _postmark(body: str) -> str:
    return f"""{XHTML}<html xmlns="http://www.w3.org/1999/xhtml"><head><style type="text/css"
rel="stylesheet"
 media="all">@import url("https://fonts.example/css?family=Nunito+Sans");
body {{ width: 100% !important; height: 100%; margin: 0; -webkit-text-size-adjust: none; }}
a {{ color: #3869D4; }} a img {{ border: none; }} td {{ word-break: break-word; }}
body, td, th {{ font-family: "Nunito Sans", Helvetica, Arial, sans-serif; }} td, th {{
 font-size: 16px; }}
.button {{ background-color: #3869D4; border-top: 10px solid #3869D4; border-right: 18px solid
 #3869D4;
 border-bottom: 10px solid #3869D4; border-left: 18px solid #3869D4; display: inline-block;
 color: #FFF;
 text-decoration: none; border-radius: 3px; box-shadow: 0 2px 3px rgba(0, 0, 0, 0.16); }}
.attributes_content {{ background-color: #F4F4F7; padding: 16px; }} .align-right {{ text-align:
 right; }}
.email-wrapper {{ width: 100%; margin: 0; background-color: #F2F4F6; }}
.email-body_inner {{ width: 570px; margin: 0 auto; background-color: #FFFFFF; }}
.content-cell {{ padding: 45px; }} .purchase_item {{ padding: 10px 0; color: #51545E; font-size:
 15px; }}
@media only screen and (max-width: 600px) {{ .email-body_inner {{ width: 100% !important; }} }}
@media (prefers-color-scheme: dark) {{ body, .email-body_inner {{ background-color: #333
 !important; }} }}
</style><!--[if mso]><style>.f-fallback {{ font-family: Arial; }}</style><![endif]--></head><body>
<table class="email-wrapper" width="100%" cellpadding="0" cellspacing="0"><tr><td align="center">
<table class="email-body_inner" align="center" width="570" cellpadding="0" cellspacing="0"><tr>
<td class="content-cell"><div class="f-fallback">{body}</div></td></tr></table></td></tr></table>
</body></html>"""


_LOGO = '<img src="https://cdn.example/logo.png" alt="The shop" width="180" height="50">'
_ORDER = (
    '<table width="100%" border="1"><tr><td>Order number:</td><td width="100%">4711</td></tr>'
    "<tr><td>Delivery date:</td><td>Monday</td></tr></table>"
)

TEMPLATES = {
    "mjml: welcome": _mjml(_section(_LOGO) + _section(f"<h1>Welcome</h1><p>{LOREM}</p>{_BUTTON}")),
    "mjml: two columns": _mjml(_section(LOREM, LOREM + _BUTTON) + _section("Foot", back="#eeeeee")),
    "mjml: hero": _mjml(
        _section(
            '<h1 style="color:#fff">Sale</h1>', back="#222 url(https://cdn.example/h.jpg) repeat-x"
        ),
        ".hero:has(h1) { padding: 9px }",
    ),
    "mjml: order": _mjml(_section(_ORDER), "td:nth-child(2) { text-align: right }"),
    "foundation: one column": _foundation(_row(f"<h1>Hi, Ann</h1><p>{LOREM}</p>")),
    "foundation: two columns": _foundation(
        _row(LOREM, f'<p class="hide-for-large">Small</p>{LOREM}', small=6) + _row("Foot")
    ),
    "foundation: button": _foundation(
        _row(
            '<table class="button"><tr><td><table><tr><td style="background:#2199e8;padding:8px '
            '16px">'
            '<a href="https://shop.example/">Confirm</a></td></tr></table></td></tr></table>'
            f'<table class="callout"><tr><th>{LOREM}</th></tr></table>'
        ),
        "table.body a[href^='https'] { font-weight: bold; font-size: 20px }",
    ),
    "mailchimp: text": _mailchimp(
        _text_block(f"<h2>Hello</h2><p>{LOREM}<a href='//x.example'>More</a>")
    ),
    "mailchimp: divider": _mailchimp(
        _text_block(LOREM)
        + '<table width="100%"><tr><td class="mcnDividerContent"><span></span></td></tr></table>'
        + _text_block(f"{_LOGO}<ul><li>One<li>Two</ul>")
    ),
    "mailchimp: columns": _mailchimp(
        '<table width="100%"><tr><td valign="top" style="font-size:0;text-align:center">'
        + f'<table align="left" width="300" '
        f'class="columnWrapper"><tr><td>{_text_block(LOREM)}</td></tr>'
        "</table>" * 2 + "</td></tr></table>"
    ),
    "cerberus: fluid": _cerberus(
        f'<tr><td style="padding: 20px 0; text-align: center">{_LOGO}</td></tr><tr><td '
        f'bgcolor="#fff" '
        f'style="padding: 20px; font-family: sans-serif; font-size: '
        f'15px"><h1>Head</h1>{LOREM}</td></tr>'
    ),
    "cerberus: responsive": _cerberus(
        '<tr><td><table width="100%"><tr>'
        + f'<td class="stack-column" valign="top" width="50%">{LOREM}</td>' * 2
        + "</tr></table></td></tr>"
    ),
    "cerberus: button": _cerberus(
        '<tr><td style="padding: 9px"><a class="button-a" href="https://shop.example/" '
        'style="color:#fff; border-radius: 4px; display: inline-block">Button</a></td></tr>'
        f'<tr><td><div class="row"><div>{LOREM}</div><div>{LOREM}</div></div></td></tr>',
        r"@layer base { .sm\:big { font-size: 30px } } .sm\:big { padding: 3px }",
    ),
    "cerberus: right to left": _cerberus(
        f'<tr><td dir="rtl" style="padding: 9px">{LOREM}<ul style="margin: '
        f'0"><li>One</ul></td></tr>'
    ),
    "postmark: reset": _postmark(
        f'<h1>Hi Ann,</h1><p>{LOREM}</p><p align="center"><a href="https://shop.example/reset" '
        'class="button" target="_blank">Reset it</a></p><p class="sub">Code: <b>123 456</b></p>'
    ),
    "postmark: receipt": _postmark(
        f'<table style="float:right"><tr><td>{_LOGO}</td></tr></table>'
        '<table class="attributes" width="100%"><tr><td class="attributes_content"><strong>Amount:'
        '</strong> $ 12.00</td></tr></table><table width="100%"><tr><th align="left">Item</th>'
        '<th class="align-right">Price</th></tr><tr><td width="80%" class="purchase_item">Book</td>'
        '<td width="20%" class="purchase_item align-right">$12.00</td></tr></table>'
    ),
    "transactional: no doctype": f"<p>Hello,<p>{LOREM}<hr><font size=4 color=navy>Yours</font>",
    "transactional: links and hidden": (
        "<!doctype html><style>a:link{color:#fff;text-decoration:none} a:hover{color:red}</style>"
        '<p style="background:#06c;padding:9px;width:200px"><a '
        'href="https://x.example/">White</a></p>'
        '<div hidden>Preview</div><p><a name="top">Top</a> <nobr>no break in here</nobr></p>'
    ),
    "transactional: print": (
        "<!doctype html><style media=print>p{display:none}</style><style "
        "media='screen'>p{color:#060}"
        f"</style><style type='text/plain'>p{{color:red}}</style><p>{LOREM}</p>{_ORDER}"
        "<!-- tracking --!><p>Seen</p><!-- -->"
    ),
    "transactional: modern": (
        "<!doctype html><style>:root{--Ink:#334;--gap:calc(2px * 6)} body{color:var(--Ink)}"
        "ul>li::before{content:'\\2014\\20';color:#999} li{list-style:none;margin:var(--gap) 0}"
        f"section:has(>h2){{border:1px "
        f"solid;padding:1rem}}</style><section><h2>News</h2><ul><li>{LOREM}"
        "<li>Two</ul></section><details><summary>More</summary>Hidden</details><blockquote>Quoted"
    ),
}
