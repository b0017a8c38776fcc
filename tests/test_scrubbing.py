"""What is taken out of texts: the shapes of tokens, assignments, addresses and homes; and what is left alone.

The tokens are put together here, and were never valid anywhere.
"""

from __future__ import annotations

import re
import re._constants as opcodes
import re._parser as parser
from pathlib import Path

import pytest

from trio_cursor import assignments, command_lines, scrubbing, secret_names, token_shapes
from trio_cursor.scrubbing import Scrubber

LETTERS = "aB3dE5gH7jKlMn0pQrStUvWxYz12345678"
HEX = "0123456789abcdef"


def some(length, alphabet=LETTERS):
    return (alphabet * (length // len(alphabet) + 1))[:length]


TOKENS = {
    "openai": f"sk-{some(48)}",
    "openai project": f"sk-proj-{some(100)}",
    "openai service account": f"sk-svcacct-{some(60)}_{some(20)}",
    "openrouter": f"sk-or-v1-{some(64, HEX)}",
    "anthropic": f"sk-ant-api03-{some(93)}AA",
    "github classic": f"ghp_{some(36)}",
    "github oauth": f"gho_{some(36)}",
    "github user": f"ghu_{some(36)}",
    "github server": f"ghs_{some(36)}",
    "github refresh": f"ghr_{some(76)}",
    "github fine-grained": f"github_pat_{some(22)}_{some(59)}",
    "gitlab": f"glpat-{some(20)}",
    "gitlab runner": f"glrt-{some(20)}",
    "gitlab deploy": f"gldt-{some(20)}",
    "aws key": f"AKIA{some(16, 'ABCDEFGH234567')}",
    "aws session key": f"ASIA{some(16, 'ABCDEFGH234567')}",
    "google key": f"AIza{some(35)}",
    "google token": f"ya29.{some(60)}",
    "google client secret": f"GOCSPX-{some(28)}",
    "slack bot": f"xoxb-{some(12, '123456789')}-{some(13, '123456789')}-{some(24)}",
    "slack user": f"xoxp-{some(11, '123456789')}-{some(32, HEX)}",
    "slack app": f"xapp-1-A0123456789-{some(13, '123456789')}-{some(64, HEX)}",
    "stripe": f"sk_live_{some(24)}",
    "stripe test": f"sk_test_{some(24)}",
    "stripe restricted": f"rk_live_{some(24)}",
    "stripe webhook": f"whsec_{some(32)}",
    "npm": f"npm_{some(36)}",
    "pypi": f"pypi-AgEIcHlwaS5vcmc{some(120)}",
    "rubygems": f"rubygems_{some(48, HEX)}",
    "huggingface": f"hf_{some(34)}",
    "groq": f"gsk_{some(52)}",
    "replicate": f"r8_{some(37)}",
    "perplexity": f"pplx-{some(48)}",
    "xai": f"xai-{some(80)}",
    "cursor": f"key_{some(64, HEX)}",
    "sendgrid": f"SG.{some(22)}.{some(43)}",
    "twilio": f"SK{some(32, HEX)}",
    "mailgun": f"key-{some(32, HEX)}",
    "telegram": f"{some(10, '123456789')}:AA{some(33)}",
    "digitalocean": f"dop_v1_{some(64, HEX)}",
    "shopify": f"shpat_{some(32, HEX)}",
    "databricks": f"dapi{some(32, HEX)}",
    "vault": f"hvs.{some(90)}",
    "terraform": f"{some(14)}.atlasv1.{some(67)}",
    "doppler": f"dp.pt.{some(43)}",
    "linear": f"lin_api_{some(40)}",
    "notion": f"ntn_{some(46)}",
    "postman": f"PMAK-{some(24, HEX)}-{some(34, HEX)}",
    "grafana": f"glsa_{some(32)}_{some(8, HEX)}",
    "sentry": f"sntrys_{some(80)}",
    "figma": f"figd_{some(40)}",
    "atlassian": f"ATATT3xFfGF0{some(180)}",
    "docker": f"dckr_pat_{some(27)}",
    "planetscale": f"pscale_tkn_{some(43)}",
    "supabase": f"sbp_{some(40, HEX)}",
    "tailscale": f"tskey-auth-{some(17)}-{some(32)}",
    "heroku": f"HRKU-{some(60)}",
    "age": f"AGE-SECRET-KEY-1{some(58, 'QPZRY9X8GF2TVDW0S3JN')}",
    "jwt": f"eyJ{some(33)}.eyJ{some(60)}.{some(43)}",
    "discord": f"MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.{some(27)}",
    "google refresh": f"1//0g{some(60)}",
    "azure": f"aB38Q~{some(34)}",
    "netlify": f"nfp_{some(36)}",
    "pinecone": f"pcsk_{some(5)}_{some(50)}",
    "resend": f"re_{some(8)}_{some(24)}",
    "tavily": f"tvly-{some(32)}",
    "elevenlabs": f"sk_{some(48, HEX)}",
    "jwt without signature": f"eyJ{some(33)}.eyJ{some(60)}.",
}
#: Where a token may stand; with `{}` for it.
PLACES = ["{}", "use {}, please", '"{}"', "x={}&y", r"a line\n{}\nanother", "({})", "key:{}\n", "`{}`."]


@pytest.mark.parametrize("name", TOKENS)
def test_no_part_of_a_token_is_left(name):
    token = TOKENS[name]
    for place in PLACES:
        scrubbed = Scrubber().text(place.format(token))
        assert "[REDACTED:" in scrubbed
        assert token[-12:] not in scrubbed
        # Before and after it nothing is lost.
        assert [scrubbed.startswith(place[: place.index("{")]), scrubbed.endswith(place[-1])] == [
            True,
            True,
        ] or (place == "{}")
        assert Scrubber().text(scrubbed) == scrubbed


#: A text, and what of it must not be left.
SECRETS = [
    ("Authorization: Bearer abcdef1234567890abcdef", "abcdef1234567890"),
    ("curl -H 'authorization: bearer 0a1b2c3d4e5f60718293' https://host", "0a1b2c3d"),
    ("Authorization: Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpw"),
    ('{"Authorization": "Token swordfishes"}', "swordfish"),
    ("postgres://admin:s3cr3t@db.internal:5432/app", "s3cr3t"),
    ("redis://:onlypassword@cache:6379/0", "onlypassword"),
    ("https://someone:p%40ss@host/x", "p%40ss"),
    ("https://hooks.slack.com/services/T000/B000/abcdefghijkl", "abcdefghijkl"),
    ("https://discord.com/api/webhooks/123456789012345678/" + some(68), some(20)),
    ("https://a.blob.core.windows.net/c?sv=1&sig=" + some(40), some(20)),
    ("https://maps.host/api?key=" + some(39), some(20)),
    ('password = "hunter2"', "hunter2"),
    ("password: 'correct horse battery staple'", "horse"),
    ('{"password":"hunter2","user":"x"}', "hunter2"),
    (r"{\"password\":\"hunter2\"}", "hunter2"),
    ("API_KEY=abcdefghijk", "abcdefghijk"),
    ("export DB_PASSWORD=swordfish\n", "swordfish"),
    ("db_pass=swordfish9", "swordfish9"),
    ("password=swordfish\nuser=x", "swordfish"),
    ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzzzKEY", "wJalrXUt"),
    ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzzzKEY", "wJalrXUt"),
    ("mysql --user me --password swordfish db", "swordfish"),
    ("tool --api-key=swordfish9 x", "swordfish9"),
    ("clientSecret: 'abc-def-ghi-jkl'", "abc-def"),
    ("const apiKey = `0a1b2c3d4e`;", "0a1b2c3d4e"),
    ("DefaultEndpointsProtocol=https;AccountKey=" + some(86) + "==;x", some(20)),
    ("password: hunter2.", "hunter2"),
    (f"sk.eyJ{some(33)}.{some(22)}", some(22)),
    (f"jwt.eyJ{some(17)}.eyJ{some(40)}.{some(12)}", "eyJ"),
    (f"sb-token_eyJ{some(17)}.eyJ{some(40)}.{some(12)}", "eyJ"),
    ("Server=tcp:x;User ID=sa;Password=Sup3r;Encrypt=True", "Sup3r"),
    ("Server=tcp:x;User ID=sa;Pwd=Superduper", "Superduper"),
    ("password=swordfish;Server=x", "swordfish"),
    ("<password>hunter2</password>", "hunter2"),
    ('<add key="ApiKey" value="abcdef123456"/>', "abcdef123456"),
    ("db:\n  password: correcthorse\n  user: x", "correcthorse"),
    ("pass = hunter2", "hunter2"),
    ("auth: { user: 'x', pass: 'swordfish' }", "swordfish"),
    ("db_pass = 'a b'", "a b"),
    ("//r.example/:_auth=dXNlcjpwYXNzd29yZA==", "dXNlcjpw"),
    (f"secret_key_base: {some(64, HEX)}", some(20, HEX)),
    ("machine x login me password hunter", "hunter"),
    ("machine x\n  login me\n  password hunter\n", "hunter"),
    ("https://x/cb?client_secret=abcdef", "abcdef"),
    ('{"password": ["hunter"], "token": {"value": "abcdef"}}', "hunter"),
    ('{"token": {"value": "abcdef"}}', "abcdef"),
    ('[{"name": "DB_PASSWORD", "value": "hunter"}]', "hunter"),
    ("- name: DB_PASSWORD\n  value: hunter\n", "hunter"),
    (f"Cookie: sessionid={some(32)}; other=swordfish", "swordfish"),
    (f"Set-Cookie: sid=s%3A{some(32)}; Path=/; HttpOnly", some(20)),
    ('{"cookie": "sid=swordfish"}', "swordfish"),
    ("Authorization: abcdef0123456789abcdef", "abcdef0123"),
    ("curl -u admin:swordfish https://x.example/api", "swordfish"),
    ("curl -sS \\\n  --user 'admin:sword fish' x", "sword fish"),
    ("curl -uadmin:swordfish x", "swordfish"),
    ("mysql -u root -pswordfish db", "swordfish"),
    ("mysqldump -p'swordfish' db", "swordfish"),
    ("redis-cli -h x -a swordfish ping", "swordfish"),
    ("sshpass -p 'sword fish' ssh x", "sword fish"),
    ("sshpass -pswordfish ssh x", "swordfish"),
    ("docker login -u x -p swordfish", "swordfish"),
    ("curl -sSu admin:swordfish https://x.example", "swordfish"),
    ("curl -k -su 'admin:sword fish' x", "sword fish"),
    (r"curl --ntlm -u 'CORP\admin:swordfish' x", "swordfish"),
    ("mongosh -u admin -p swordfish --authenticationDatabase admin", "swordfish"),
    ("mongodump --uri x -p 'sword fish'", "sword fish"),
    ("ldapsearch -D cn=x -w swordfish -b dc=x", "swordfish"),
    ("ldapmodify -xZZw swordfish -f x.ldif", "swordfish"),
    ("smbclient //host/share -U user%swordfish", "swordfish"),
    (r"smbclient //host/share -U 'CORP\user%sword fish'", "sword fish"),
    ("http -a user:swordfish https://x.example", "swordfish"),
    ("https --auth=user:swordfish x.example", "swordfish"),
    ("xfreerdp /u:a /p:swordfish /v:host", "swordfish"),
    ("xfreerdp3 /v:host /p:'sword fish'", "sword fish"),
    ("aws configure set aws_secret_access_key wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzzzKEY", "wJalrXUt"),
    ("aws configure set --profile x aws_session_token abc/def/ghi", "abc/def"),
    ("npm config set //r.example/:_authToken swordfish", "swordfish"),
    ("sqlplus scott/swordfish@host", "swordfish"),
    ('sqlplus -s scott/"sword/fish"@//host:1521/x', "fish"),
    ("jdbc:oracle:thin:scott/swordfish@host:1521/x", "swordfish"),
    ("define('DB_PASSWORD', 'sword fish');", "sword fish"),
    ('define( "AUTH_KEY", "0a1b2c3d4e" );', "0a1b2c3d4e"),
    ("passwords = ['correct', 'horse']", "correct"),
    ("passwords = ['correct', 'horse']", "horse"),
    ('"passwords": [\n  "sword",\n  "fish"\n]', "fish"),
    (r"{\"passwords\": [\"sword\", \"fish\"]}", "fish"),
    ("password:\n  - Swordf1sh\n", "Swordf1sh"),
    ("db_passwords:\n- 'sword fish'\n- swordfish # old\nuser: x", "fish"),
    (r"password:\n  - swordfish\n", "swordfish"),
    ("port 6379\nrequirepass swordfish\nmasterauth x\n", "swordfish"),
    ("requirepass x\nmasterauth swordfish\n", "swordfish"),
    ("command: redis-server --requirepass swordfish", "swordfish"),
    ('["redis-server", "--requirepass", "swordfish"]', "swordfish"),
    ("127.0.0.1:6379> CONFIG SET requirepass swordfish", "swordfish"),
    ("127.0.0.1:6379> AUTH swordfish\nOK", "swordfish"),
    ("`127.0.0.1:6379> AUTH swordfish` works", "swordfish"),
    ("cache.example:6379[1]> auth default swordfish", "swordfish"),
    ("ALTER USER x IDENTIFIED BY 'sword''fish';", "fish"),
    ("GRANT ALL ON a.* TO 'b'@'c' IDENTIFIED WITH mysql_native_password BY 'swordfish'", "swordfish"),
    ("alter user x identified by swordfish;", "swordfish"),
    ("CREATE USER x WITH PASSWORD 'swordfish'", "swordfish"),
    ("create role x with login encrypted password 'swordfish';", "swordfish"),
    ("SET PASSWORD FOR 'x'@'y' = PASSWORD('swordfish')", "swordfish"),
    (f"PuTTY-User-Key-File-2: ssh-rsa\nPrivate-Lines: 2\n{some(64)}\n{some(40)}\nPrivate-MAC: 0", some(20)),
    (r"Private-Lines: 1\r\nAAAAgQC4o3e2\r\nPrivate-MAC: 0", "AAAAgQC4"),
    ("Ask someone@example.org.", "someone"),
    ("mailto:first.last+tag@sub.example.co.uk?x", "first.last"),
    ("x@example.org%40y someone%40example.org", "someone"),
    ("jürgen@bücher.example", "jürgen"),
    ("in /home/alice/project", "alice"),
    ("in /Users/alice/project", "alice"),
    ('"C:\\Users\\Alice Smith\\project"', "Alice"),
    (r'"C:\\Users\\alice\\project"', "alice"),
    ("file:///home/alice/project", "alice"),
    ("file:///c%3A/Users/alice/project", "alice"),
    ("/mnt/c/Users/alice/project", "alice"),
    ("vscode-remote://ssh-remote%2Bbox/home/alice/project", "alice"),
    ("/srv/people/alice/project", "alice"),
    (
        "a\n-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----\n",
        "b3Blbn",
    ),
    ('"-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADAN\\n-----END PRIVATE KEY-----\\n"', "MIIEvQ"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIEvQIBADAN\nthis was cu", "MIIEvQ"),
    ("-----BEGIN PGP PRIVATE KEY BLOCK-----\nlQOYBF\n-----END PGP PRIVATE KEY BLOCK-----", "lQOYBF"),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_what_is_a_secret_by_its_place_is_not_left(text, secret):
    scrubber = Scrubber("/srv/people/alice")
    scrubbed = scrubber.text(text)
    assert secret in text
    assert secret not in scrubbed
    assert scrubber.text(scrubbed) == scrubbed


UNTOUCHED = [
    "",
    "Why does the parser stop at line 40? It should go on; see section 3.1: tokens, not bytes.",
    "550e8400-e29b-41d4-a716-446655440000",
    "commit 3f2a9c1de4b5a6978877665544332211aabbccdd",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "max_tokens: 4096, token_count = 17",
    "def login(password: str, token: Optional[str] = None) -> None:",
    "token = request.headers.get('X')",
    "let token = self.token.clone();",
    "password = getpass.getpass()",
    "password = os.environ['DB']",
    "api_key = settings.API_KEY",
    "const secret = process.env.SECRET;",
    "PASSWORD=$PASSWORD TOKEN=${TOKEN}",
    "api_key: <your key>",
    "password: '{{ vault.password }}'",
    "if (token == null) { return }",
    "a secret is what nobody tells",
    "type Token struct { Key string }",
    '"token": "string"',
    '<input type="password" name="password">',
    "git@github.com:owner/name.git",
    "npm install react@18.2.0 @types/node",
    "icon@2x.png",
    "@app.route('/x') and @dataclass",
    "https://host.example/path?page=2&key=short",
    "https://site.example/home/page",
    "/Users/Shared/x",
    "sk-loading-spinner-container and task-12345678901234567890x",
    "-----BEGIN PUBLIC KEY-----",
    "for key in keys: print(key)",
    "secret=/run/secrets/db",
    "PWD=/srv/project",
    "x = a @ b.T",
    "pass: 12, fail: 3",
    '{"pass": "passed", "reason": "All tests pass"}',
    "for token, value in pairs.items():",
    "def store(token, value: int = 5): ...",
    "type Login = {\n  password: hashed\n}",
    "password: str\ntoken: Token\n",
    "let a=1;token=next;b=2",
    "docker run --name mysql -p 3306:3306 mysql",
    "docker run -u 1000:1000 x && mkdir -p dir",
    "Use curl with -u name:password, or mysql -p and wait.",
    "curl -u $NAME:$PASSWORD x; sort -u a:b",
    "the machine asks for login and password again",
    "const cookie: Cookie = parse(header)",
    "Cookie: what a browser sends back",
    "authorization: req.headers.authorization",
    "authorization: makeHeaderForVersion2(request)",
    "<Token>{{ value }}</Token> <T extends Token>(x: T)",
    "<label for=password>Password</label>",
    '<input type="password" value={password} />',
    "eyJ is how a JWT begins; some_eyJ and MTk.x.y are none",
    "re_compile_something and sk_learn_version_2",
    "self._auth=auth and Client(_auth=None)",
    "0x8Q~x 1//0 a//b",
    "curl -sS https://x.example -du a:b; curl -o u:v x",
    "docker run --name mongo -p 27017:27017 mongo && mkdir -p dir",
    "docker run --name mongo -p 127.0.0.1:27017:27017 mongo",
    "mongosh -u x -p --host y; ldapsearch -x -W; ldapsearch -x && cut -w 1",
    "smbclient -U user //host/share; date +%H",
    "http x.example -a $NAME:$PASSWORD; http: //x and http -a name",
    "xfreerdp /u:a /v:host; msbuild /p:Configuration=Release",
    "aws configure set region eu-west-1; the config sets the token again",
    "aws configure set aws_secret_access_key $SECRET",
    "sqlplus / as sysdba; sqlplus and/or toad; sqlplus /nolog; sqlplus u/$PW@host",
    "jdbc:oracle:thin:@//host:1521/x",
    "define('DB_HOST', 'localhost'); define('DB_PASSWORD', getenv('X')); undefine('token', 'abcdef1')",
    "'passwords' => ['users' => ['provider' => 'users']], passwords = [a, b]; passwords[0] = x",
    "tokens = ['some', 'words']; secrets: ['db_password']; passes = ['first', 'second']",
    "'password' => ['required', 'string', 'min:8']",
    "secrets:\n  - db_password\ntokens:\n  - word\n",
    "Passwords:\n- are long\n- Length\n- {{ x }}\n- name: x\n",
    'asked = "--requirepass" in options; at = options.index("--requirepass") + 1',
    "Set `requirepass` in redis.conf; requirepass and masterauth are equal.",
    "self.options(--requirepass, x)\n  requirepass ${PASSWORD}\n",
    "a line of `> AUTH PLAIN` and S: > AUTH LOGIN",
    "each user is identified by 'id'; rows are identified by \"name\"",
    "IDENTIFIED BY '%s' and IDENTIFIED BY '{password}' and IDENTIFIED BY ?",
    "print('Your PASSWORD ', x, 'is'); PASSWORD NULL; WITH PASSWORD :password",
]


@pytest.mark.parametrize("text", UNTOUCHED)
def test_what_is_no_secret_is_left_as_it_is(text):
    assert Scrubber("/srv/people/alice").text(text) == text


def test_our_own_code_is_left_as_it_is():
    for module in ("sink", "polling", "assembly/book", "cursor/guest", "web/connection"):
        code = (Path(scrubbing.__file__).parent / f"{module}.py").read_text(encoding="utf-8")
        assert Scrubber("/srv/people/alice").text(code) == code


def test_of_json_what_is_called_a_secret_may_be_more_than_a_text():
    found = Scrubber().json(
        {
            "password": ["x", 5],
            "token": {"type": "bearer", "value": "x", "of": {"me": "y", "count": 5}},
            "apiKeys": ["x"],
            "tokens": ["the", "words"],
            "maxTokens": 5,
            "pass": 5,
            "env": [{"name": "DB_PASSWORD", "value": "x"}, {"name": "HOME", "value": "x"}],
            "headers": {"Cookie": "a", "authorization": "b"},
        }
    )
    mark = "[REDACTED:secret]"
    assert found == {
        "password": [mark, 5],
        "token": {"type": "bearer", "value": mark, "of": {"me": mark, "count": 5}},
        "apiKeys": [mark],
        "tokens": ["the", "words"],
        "maxTokens": 5,
        "pass": 5,
        "env": [{"name": "DB_PASSWORD", "value": mark}, {"name": "HOME", "value": "x"}],
        "headers": {"Cookie": mark, "authorization": mark},
    }


def test_of_json_what_is_called_a_secret_goes_whatever_it_is():
    found = Scrubber().json(
        {
            "apiKey": "x",
            "headers": {"token": 5, "list": ["me@example.org", 1.5, None, True]},
            "is_token": False,
            "password": None,
            "someone@example.org": {"maxTokens": 5},
        }
    )
    assert found == {
        "apiKey": "[REDACTED:secret]",
        "headers": {"token": "[REDACTED:secret]", "list": ["[REDACTED:e-mail]", 1.5, None, True]},
        "is_token": False,
        "password": None,
        "[REDACTED:e-mail]": {"maxTokens": 5},
    }


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/home/alice/src/x", "~/src/x"),
        ("/Users/alice", "~"),
        ("c:\\Users\\alice\\x", "~\\x"),
        ("/c:/Users/alice/x", "~/x"),
        ("/srv/people/alice/x", "~/x"),
        ("/srv/people/alicent/x", "/srv/people/alicent/x"),
        ("vscode-remote://wsl%2Bubuntu/home/alice/x", "vscode-remote://wsl%2Bubuntu~/x"),
        (
            "vscode-remote://ssh-remote%2Bme@host.example/home/alice/x",
            "vscode-remote://ssh-remote%[REDACTED:e-mail]~/x",
        ),
        ("/srv/x", "/srv/x"),
    ],
)
def test_a_path_begins_at_home(path, shown):
    assert Scrubber("/srv/people/alice").path(path) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("d:\\Profiles\\Me\\x", "~\\x"),
        ("D:/profiles/me/x", "~/x"),
        ('"D:\\\\Profiles\\\\Me\\\\x"', '"~\\\\x"'),
        ("file:///d%3A/Profiles/Me/x", "file:///~/x"),
        ("D:\\Profiles\\Merlin\\x", "D:\\Profiles\\Merlin\\x"),
    ],
)
def test_a_home_on_windows_is_known_in_any_case_with_either_slash_and_in_a_uri(text, shown):
    assert Scrubber("D:\\Profiles\\Me").text(text) == shown
    assert Scrubber("/srv/Me").text("/srv/me/x") == "/srv/me/x"


# -- what it costs -------------------------------------------------------------------------------------

#: Repeated: where looking for one thing could mean looking at everything behind it.
HOSTILE = [
    *(
        "a",
        "\\",
        "eyJ-",
        "eyJaaaaaaaa.",
        "SG.",
        "sk-",
        "ghp_",
        "://a:",
        "://",
        "@a.aa",
        "a.",
        "-----",
        "Bearer ",
    ),
    *(
        "password",
        'password="',
        "password ",
        "token:",
        "/home/",
        "C:\\Users\\",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----;\n",
    ),
    *("hooks.slack.com/services/", "authorization:", "/api/webhooks/1", "?sig=", "key", "%40a."),
    *("_eyJ-aaaaaaaa", ".eyJ-aaaaaaaa", "curl -u ", "mysql -p", "cookie:a", "cookie:a=", "machine x login "),
    *(
        "<password>",
        "password;",
        ";password=",
        'password","value":',
        "Private-Lines: 1\n",
        "MTk4a.",
        "Q~",
        "_auth",
    ),
    *(
        "curl -sSu ",
        "curl -ssssssss",
        "http -a ",
        "mongosh -p ",
        "mongo -p 1.1.1",
        "ldapsearch -xxxx",
        "xfreerdp /",
    ),
    *(
        "smbclient -U a%",
        "smbclient -U a\\",
        "sqlplus -s ",
        "sqlplus a/",
        "jdbc:oracle:thin:a/",
        "jdbc:oracle:",
    ),
    *("aws configure set ", "config set --a b password ", "define('password',", "define('password', '"),
    *(
        "passwords = ['",
        "passwords=['a',",
        "passwords=['$passwords=[\"',",
        "password:\n  - ",
        "password:\n - a\n",
    ),
    *("requirepass ", "\nrequirepass", "--requirepass ", "1> AUTH ", "AUTH 1> AUTH", "1> AUTH a "),
    *(
        "IDENTIFIED BY ",
        "IDENTIFIED BY '",
        "IDENTIFIED WITH a",
        "user identified by ",
        "user x identified by ",
    ),
    *("PASSWORD '", "PASSWORD ''", "PASSWORD FOR ", "PASSWORD FOR a=PASSWORD(", "with password '"),
]


#: Each of these is looked at with care: a fourth of a megabyte tells the same.
CAREFUL = {
    "<password>",
    "password;",
    ";password=",
    "_auth",
    "token:",
    "password ",
    "key",
    "password",
    'password="',
    "@a.aa",
    *("config set --a b password ", "passwords = ['", "password:\n  - ", "password:\n - a\n"),
    *("1> AUTH a ", "PASSWORD '", "PASSWORD ''", "PASSWORD FOR ", "PASSWORD FOR a=PASSWORD("),
}


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_hostile_text_of_a_megabyte_is_looked_through(piece):
    """With quadratic cost it takes from a quarter of a minute to hours."""
    text = piece * ((250_000 if piece in CAREFUL else 1_000_000) // len(piece))
    assert Scrubber("/srv/people/alice").text(text) is not None


def patterns():
    for module in (secret_names, assignments, command_lines, scrubbing):
        yield from (item for item in vars(module).values() if isinstance(item, re.Pattern))
    yield from (pattern for _, pattern in scrubbing._HOMES)
    yield from command_lines._BEHIND.values()
    yield from (shape.pattern for shape in token_shapes.SHAPES)


def endless(tree, *, inside=False):
    """Repetitions without an end that can give back what they took, or that are repeated themselves."""
    for operator, argument in tree:
        if operator in (opcodes.MAX_REPEAT, opcodes.MIN_REPEAT, opcodes.POSSESSIVE_REPEAT):
            _, most, inner = argument
            is_endless = most is opcodes.MAXREPEAT
            if is_endless and (inside or operator is not opcodes.POSSESSIVE_REPEAT):
                yield argument
            yield from endless(inner, inside=inside or most > 10)
        elif operator is opcodes.SUBPATTERN:
            yield from endless(argument[-1], inside=inside)
        elif operator is opcodes.BRANCH:
            for branch in argument[1]:
                yield from endless(branch, inside=inside)
        elif operator is opcodes.ATOMIC_GROUP:
            yield from endless(argument, inside=inside)


def test_no_pattern_can_try_again_without_an_end():
    found = list(patterns())
    assert len(found) > 80
    assert [one.pattern for one in found if list(endless(parser.parse(one.pattern)))] == []
