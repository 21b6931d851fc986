"""Cells in the manner of models, with what each shows; run in every engine by ``test_jail_cells.py``."""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any

CONTEXT = """\
# Report 2024
Alice <alice@example.com> paid 120.50 EUR on 2024-03-01.
Bob <bob@example.org> paid 80 EUR on 2024-03-02.
Carol <carol@example.com> paid 99.99 USD on 2024-02-28.
Alice <alice@example.com> paid 5 EUR on 2024-04-10.
Note: Zoë's café owes 12 EUR; naïve totals are wrong. 🦜
"""


@dataclass(frozen=True)
class Cell:
    """One cell, the cells before it, what it shows and what it submits."""

    name: str
    code: str
    shows: str
    final: Any = None
    before: list[str] = field(default_factory=list)


def _cell(name: str, code: str, shows: str, final: Any = None, before: list[str] | None = None) -> Cell:
    return Cell(name, dedent(code).strip(), dedent(shows).strip(), final, [dedent(c).strip() for c in before or []])


CELLS = [
    _cell("regex-finditer", r"""
        import re
        for m in re.finditer(r"(\w+) <([^>]+)> paid ([\d.]+) (\w{3})", context):
            print(m.start(), m.groups())
        """, """
        14 ('Alice', 'alice@example.com', '120.50', 'EUR')
        71 ('Bob', 'bob@example.org', '80', 'EUR')
        120 ('Carol', 'carol@example.com', '99.99', 'USD')
        176 ('Alice', 'alice@example.com', '5', 'EUR')
        """),
    _cell("regex-sub-with-a-function", r"""
        import re
        out = re.sub(r"[\d.]+(?= (EUR|USD))", lambda m: f"{float(m[0]) * 2:.2f}", context)
        re.findall(r"paid (\S+)", out), re.split(r"[;:]\s*", context.splitlines()[-1])
        """, """
        (['241.00', '160.00', '199.98', '10.00'], ['Note', "Zoë's café owes 12 EUR", 'naïve totals are wrong. 🦜'])
        """),
    _cell("counter", """
        from collections import Counter
        words = Counter(w.lower() for w in context.split() if w.isalpha())
        words.most_common(3), words.total(), (words & Counter(paid=2)), sum(Counter("hello").values())
        """, "([('paid', 4), ('on', 4), ('eur', 3)], 22, Counter({'paid': 2}), 5)"),
    _cell("json", """
        import json
        rows = [{"name": "Zoë", "amount": 1.5, "tags": ["a", None, True]}]
        text = json.dumps(rows, ensure_ascii=False, indent=1, sort_keys=True)
        print(text)
        json.loads(text) == rows, json.dumps("é"), json.loads('{"a": [1, 2.0, "x"]}')
        """, r"""
        [
         {
          "amount": 1.5,
          "name": "Zoë",
          "tags": [
           "a",
           null,
           true
          ]
         }
        ]
        (True, '"\\u00e9"', {'a': [1, 2.0, 'x']})
        """),
    _cell("dataclasses", """
        from dataclasses import dataclass, field, asdict, replace
        @dataclass(order=True, frozen=True)
        class Payment:
            amount: float
            name: str = field(compare=False)
            notes: list = field(default_factory=list, compare=False)
        a, b = Payment(3.0, "x"), Payment(2.0, "y", ["n"])
        print(min(a, b), asdict(b), replace(a, amount=9.0).amount)
        """, "Payment(amount=2.0, name='y', notes=['n']) {'amount': 2.0, 'name': 'y', 'notes': ['n']} 9.0"),
    _cell("f-strings", """
        name, value, width = "total", 1234567.891, 12
        print(f"|{name!r:>10}|{value:,.2f}|{value:>{width}.1e}|{0.256:.1%}|{255:#x}|{5:03d}")
        f"{value=:.1f} {'nested ' + f'{width:^5}'}"
        """, """
        |   'total'|1,234,567.89|     1.2e+06|25.6%|0xff|005
        'value=1234567.9 nested  12  '
        """),
    _cell("generators", """
        def chunks(text, size):
            for i in range(0, len(text), size):
                yield text[i:i + size]
        def total():
            got = 0
            while True:
                x = yield got
                if x is None: return got
                got += x
        def outer():
            result = yield from total()
            yield ("returned", result)
        g = outer(); next(g); g.send(3); g.send(4)
        print(g.send(None), [len(c) for c in chunks("x" * 25, 10)], sum(x * x for x in range(5)))
        """, "('returned', 7) [10, 10, 5] 30"),
    _cell("recursion", """
        def flatten(x):
            return [y for i in x for y in flatten(i)] if isinstance(x, list) else [x]
        def fact(n): return 1 if n < 2 else n * fact(n - 1)
        def depth(n): return 0 if n == 0 else 1 + depth(n - 1)
        flatten([1, [2, [3, [4]]], 5]), fact(20), depth(900)
        """, "([1, 2, 3, 4, 5], 2432902008176640000, 900)"),
    _cell("csv", r"""
        import csv, io
        rows = list(csv.DictReader(io.StringIO('name,qty\n"Smith, J",3\nLee,"4"\n')))
        out = io.StringIO()
        w = csv.writer(out, delimiter=";", lineterminator="\n"); w.writerow(["a;b", 1, None]); w.writerow(["x", 2.5, ""])
        print(rows, repr(out.getvalue()), csv.Sniffer().sniff("a|b|c\n1|2|3\n").delimiter)
        """, "[{'name': 'Smith, J', 'qty': '3'}, {'name': 'Lee', 'qty': '4'}] '\"a;b\";1;\\nx;2.5;\\n' |"),
    _cell("heapq", """
        import heapq
        h = []
        for p in (5, 1, 4, 1): heapq.heappush(h, (p, f"t{p}"))
        [heapq.heappop(h)[0] for _ in range(3)], heapq.nlargest(2, [3, 9, 4]), list(heapq.merge([1, 4], [2, 3]))
        """, "([1, 1, 4], [9, 4], [1, 2, 3, 4])"),
    _cell("statistics", """
        import statistics as st
        d = [1.5, 2.5, 2.5, 4]
        st.mean(d), st.median(d), st.mode(d), round(st.stdev(d), 4), st.quantiles(d, n=4)
        """, "(2.625, 2.5, 2.5, 1.0308, [1.75, 2.5, 3.625])"),
    _cell("closures", """
        def counter(start=0):
            n = start
            def step(by=1):
                nonlocal n
                n += by
                return n
            return step
        a, b = counter(), counter(10)
        a(); a(5)
        print(a(), b(2), [f(3) for f in [lambda x, k=k: x * k for k in range(3)]], a.__closure__[0].cell_contents)
        """, "7 12 [0, 3, 6] 7"),
    _cell("classes-with-inheritance", """
        class Shape:
            registry = []
            def __init_subclass__(cls, **kw): super().__init_subclass__(**kw); Shape.registry.append(cls.__name__)
            def __repr__(self): return f"{type(self).__name__}({self.area():g})"
            @property
            def big(self): return self.area() > 5
            @classmethod
            def unit(cls): return cls(1)
        class Square(Shape):
            def __init__(self, s): self.s = s
            def area(self): return self.s ** 2
        class Cube(Square):
            def area(self): return 6 * super().area()
            @staticmethod
            def sides(): return 6
            def __add__(self, o): return Cube(self.s + o.s)
        print(Shape.registry, Cube(2), Square.unit().big, Cube(1) + Cube(2), Cube.__mro__[1].__name__, Cube.sides())
        """, "['Square', 'Cube'] Cube(24) False Cube(54) Square 6"),
    _cell("asyncio-gather-and-to-thread", """
        import asyncio
        async def double(n):
            await asyncio.sleep(0)
            return n * 2
        async def main():
            queue = asyncio.Queue()
            await queue.put("q")
            answers = await asyncio.gather(*(asyncio.to_thread(llm_query, f"q{i}") for i in range(3)))
            async with asyncio.timeout(30): doubles = await asyncio.gather(*map(double, range(4)))
            return answers, doubles, await queue.get()
        asyncio.run(main())
        """, "(['<Q0>', '<Q1>', '<Q2>'], [0, 2, 4, 6], 'q')"),
    _cell("asyncio-task-group-and-wait-for", """
        import asyncio
        async def work(n):
            await asyncio.sleep(n / 1000)
            return n
        async def main():
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(work(n)) for n in (3, 1, 2)]
            try: await asyncio.wait_for(asyncio.sleep(600), 0.01)
            except TimeoutError: late = "late"
            return [t.result() for t in tasks], late, [x async for x in agen()]
        async def agen():
            for i in range(3): yield i
        asyncio.run(main())
        """, "([3, 1, 2], 'late', [0, 1, 2])"),
    _cell("threads-over-llm-query", """
        from concurrent.futures import ThreadPoolExecutor, as_completed
        chunks = [line for line in context.splitlines() if "paid" in line]
        with ThreadPoolExecutor(max_workers=8) as pool:
            names = list(pool.map(lambda c: llm_query(c.split()[0]), chunks * 4))
            futures = {pool.submit(llm_query, str(i)): i for i in range(4)}
            done = sorted(futures[f] for f in as_completed(futures))
        print(len(names), names[:4], done)
        """, "16 ['<ALICE>', '<BOB>', '<CAROL>', '<ALICE>'] [0, 1, 2, 3]"),
    _cell("threading-lock-and-event", """
        import threading, queue
        total, lock, done, q = 0, threading.Lock(), threading.Event(), queue.Queue()
        def add():
            global total
            for _ in range(500):
                with lock: total += 1
            q.put(threading.current_thread().name)
        ts = [threading.Thread(target=add, name=f"t{i}") for i in range(4)]
        [t.start() for t in ts]; [t.join() for t in ts]
        threading.Timer(0.01, done.set).start()
        print(total, sorted(q.get() for _ in ts), done.wait(60))
        """, "2000 ['t0', 't1', 't2', 't3'] True"),
    _cell("batched-calls", """
        answers = llm_query_batched(["a", "b"])
        print(*answers, llm_query("  one more "))
        """, "<A> <B> <ONE MORE>"),
    _cell("datetime", """
        from datetime import datetime, date, timedelta, timezone
        d = datetime.strptime("2024-02-28 23:30", "%Y-%m-%d %H:%M").replace(tzinfo=timezone.utc)
        print((d + timedelta(days=2, hours=1)).isoformat(), d.strftime("%A %d %B %Y, week %V"), date(2024, 3, 1) - date(2024, 2, 1))
        datetime.fromisoformat("2024-01-01T10:00:00+02:00").astimezone(timezone.utc), datetime.fromtimestamp(0, timezone.utc).year
        """, """
        2024-03-02T00:30:00+00:00 Wednesday 28 February 2024, week 09 29 days, 0:00:00
        (datetime.datetime(2024, 1, 1, 8, 0, tzinfo=datetime.timezone.utc), 1970)
        """),
    _cell("local-time", """
        import time, datetime
        t = time.localtime(86400)
        print(time.strftime("%Y-%m-%d", time.gmtime(0)), t.tm_year, datetime.datetime.now() > datetime.datetime(2024, 1, 1),
              time.time() > 1.7e9, time.perf_counter() <= time.perf_counter(), datetime.date.today().year >= 2024)
        """, "1970-01-01 1970 True True True True"),
    _cell("decimal", """
        from decimal import Decimal, getcontext, ROUND_HALF_UP, localcontext
        with localcontext() as c:
            c.prec = 8
            print(Decimal(1) / Decimal(7))
        sum(map(Decimal, ["0.1"] * 3)), Decimal("2.675").quantize(Decimal("0.01"), ROUND_HALF_UP), Decimal("1e3") + 1
        """, """
        0.14285714
        (Decimal('0.3'), Decimal('2.68'), Decimal('1001'))
        """),
    _cell("textwrap", r"""
        import textwrap
        print(textwrap.fill("the quick brown fox jumps over the lazy dog", 16))
        textwrap.dedent("  a\n    b\n"), textwrap.shorten("Hello wide world", 12, placeholder="…"), textwrap.indent("x\ny", "> ")
        """, r"""
        the quick brown
        fox jumps over
        the lazy dog
        ('a\n  b\n', 'Hello wide…', '> x\n> y')
        """),
    _cell("difflib", r"""
        import difflib
        print(*(line.strip() for line in difflib.unified_diff(["a", "b", "c"], ["a", "x", "c"], lineterm="", n=0)), sep="\n")
        difflib.get_close_matches("appel", ["ape", "apple", "peach"]), round(difflib.SequenceMatcher(None, "abcd", "bcde").ratio(), 2)
        """, """
        ---
        +++
        @@ -2 +2 @@
        -b
        +x
        (['apple', 'ape'], 0.75)
        """),
    _cell("itertools", """
        import itertools as it
        print(list(it.islice(it.count(5, 5), 3)), list(it.combinations("abc", 2))[:2], list(it.accumulate([1, 2, 3])))
        groups = {k: len(list(g)) for k, g in it.groupby(sorted("banana"))}
        groups, list(it.zip_longest([1], [2, 3])), list(it.pairwise("abc")), list(it.chain.from_iterable([[1], [2]]))
        """, """
        [5, 10, 15] [('a', 'b'), ('a', 'c')] [1, 3, 6]
        ({'a': 3, 'b': 1, 'n': 2}, [(1, 2), (None, 3)], [('a', 'b'), ('b', 'c')], [1, 2])
        """),
    _cell("functools", """
        from functools import lru_cache, reduce, partial, cached_property, singledispatch, wraps, total_ordering
        @lru_cache(maxsize=None)
        def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
        def loud(f):
            @wraps(f)
            def inner(*a): return f(*a).upper()
            return inner
        @loud
        def hi(x): "doc"; return f"hi {x}"
        @singledispatch
        def kind(x): return "other"
        @kind.register
        def _(x: int): return "int"
        print(fib(80), fib.cache_info().hits, reduce(lambda a, b: a * b, range(1, 6)), partial(pow, 2)(5), hi("bo"), hi.__name__, kind(3), kind("s"))
        """, "23416728348467685 78 120 32 HI BO hi int other"),
    _cell("enum", """
        from enum import Enum, IntFlag, auto
        class Color(Enum):
            RED = auto()
            BLUE = auto()
            @property
            def nice(self): return self.name.title()
        class P(IntFlag):
            R = 4
            W = 2
        print([c.nice for c in Color], Color(2), Color["RED"].value, (P.R | P.W), P.R in P(6))
        """, "['Red', 'Blue'] Color.BLUE 1 6 True"),
    _cell("typing", """
        from typing import NamedTuple, TypedDict, Optional, Protocol, Generic, TypeVar, get_type_hints, Literal, runtime_checkable
        class Row(NamedTuple):
            name: str
            qty: int = 1
        class Opts(TypedDict, total=False):
            limit: int
        T = TypeVar("T")
        class Stack(Generic[T]):
            def __init__(self) -> None: self.items: list[T] = []
            def push(self, x: T) -> "Stack[T]": self.items.append(x); return self
        @runtime_checkable
        class Sized(Protocol):
            def __len__(self) -> int: ...
        def f(x: Optional[int], y: "list[str]" = []) -> Literal["a"]: ...
        print(Row("a")._replace(qty=2), Opts(limit=3), Stack[int]().push(1).items, isinstance([], Sized), get_type_hints(f)["y"])
        """, "Row(name='a', qty=2) {'limit': 3} [1] True list[str]"),
    _cell("collections-and-abc", """
        from collections import defaultdict, deque, OrderedDict, namedtuple, ChainMap
        from collections.abc import Mapping, Iterable, Sequence, MutableMapping
        groups = defaultdict(list)
        for line in context.splitlines():
            if "@" in line: groups[line.split("@")[1].split(">")[0]].append(line.split()[0])
        d = deque(range(5), maxlen=3); d.rotate(1)
        class Lower(MutableMapping):
            def __init__(self): self.d = {}
            def __getitem__(self, k): return self.d[k.lower()]
            def __setitem__(self, k, v): self.d[k.lower()] = v
            def __delitem__(self, k): del self.d[k.lower()]
            def __iter__(self): return iter(self.d)
            def __len__(self): return len(self.d)
        low = Lower(); low["A"] = 1; low.update(B=2)
        print(dict(groups), d, dict(low), low.get("a"), namedtuple("P", "x y")(1, 2), ChainMap({"a": 1}, {"b": 2})["b"], isinstance("", Sequence))
        """, "{'example.com': ['Alice', 'Carol', 'Alice'], 'example.org': ['Bob']} deque([4, 2, 3], maxlen=3) {'a': 1, 'b': 2} 1 P(x=1, y=2) 2 True"),
    _cell("bisect", """
        import bisect
        starts = [0, 10, 20, 30]
        bisect.insort(starts, 15)
        [bisect.bisect_right(starts, x) - 1 for x in (0, 9, 15, 99)], bisect.bisect_left([{"k": 1}, {"k": 5}], 3, key=lambda r: r["k"])
        """, "([0, 0, 2, 4], 1)"),
    _cell("string-template", """
        from string import Template, ascii_lowercase, punctuation, capwords, Formatter
        print(Template("$who owes ${n}!").substitute(who="Zoë", n=12), Template("$a $b").safe_substitute(a=1), capwords("the end"))
        context.splitlines()[0].translate(str.maketrans("", "", punctuation)), [f[1] for f in Formatter().parse("{a} {b}")]
        """, """
        Zoë owes 12! 1 $b The End
        (' Report 2024', ['a', 'b'])
        """),
    _cell("hashlib", """
        import hashlib, hmac, zlib, binascii
        print(hashlib.sha256(b"abc").hexdigest()[:16], hashlib.md5("é".encode()).hexdigest()[:8], hashlib.blake2b(b"x", digest_size=4).hexdigest())
        hmac.new(b"k", b"m", "sha1").hexdigest()[:8], zlib.crc32(b"abc"), binascii.hexlify(b"ab"), hashlib.sha3_256(b"").hexdigest()[:8], hashlib.new("sha512", b"").hexdigest()[:6]
        """, """
        ba7816bf8f01cfea 66ddcd97 b1ba07e5
        ('772b71c8', 891568578, b'6162', 'a7ffc6f8', 'cf83e1')
        """),
    _cell("base64-and-zlib", """
        import base64, zlib, gzip, bz2, lzma
        raw = context.encode() * 50
        print(base64.b64encode("hé".encode()), base64.urlsafe_b64decode("aMOp"), base64.b32encode(b"x"))
        [zlib.decompress(zlib.compress(raw)) == raw, gzip.decompress(gzip.compress(raw)) == raw, bz2.decompress(bz2.compress(raw)) == raw, lzma.decompress(lzma.compress(raw)) == raw]
        """, r"""
        b'aMOp' b'h\xc3\xa9' b'PA======'
        [True, True, True, True]
        """),
    _cell("zipfile-in-memory", """
        import io, zipfile, tarfile
        buf = io.BytesIO()
        with zipfile.ZipFile(buf, "w", zipfile.ZIP_DEFLATED) as z: z.writestr("a/b.txt", "hello " * 20)
        with zipfile.ZipFile(buf) as z: print(z.namelist(), z.read("a/b.txt")[:5], z.testzip())
        """, "['a/b.txt'] b'hello' None"),
    _cell("sqlite-in-memory", """
        import sqlite3
        db = sqlite3.connect(":memory:")
        db.execute("create table pay(name text, amount real)")
        db.executemany("insert into pay values (?, ?)", [("Alice", 120.5), ("Bob", 80), ("Alice", 5)])
        db.commit()
        print(db.execute("select name, sum(amount) from pay group by name order by 2 desc").fetchall(), db.execute("select upper('ß é')").fetchone())
        """, "[('Alice', 125.5), ('Bob', 80.0)] ('ß é',)"),
    _cell("html-parser", """
        from html.parser import HTMLParser
        from html import unescape, escape
        class Links(HTMLParser):
            def __init__(self): super().__init__(); self.links, self.text = [], []
            def handle_starttag(self, tag, attrs):
                if tag == "a": self.links.append(dict(attrs).get("href"))
            def handle_data(self, data): self.text.append(data.strip())
        p = Links(); p.feed('<p>See <a href="/x?a=1&amp;b">here</a> &eacute;</p>')
        p.links, p.text, unescape("&lt;&#233;&gt;"), escape("<a & 'b'>")
        """, "(['/x?a=1&b'], ['See', 'here', 'é'], '<é>', '&lt;a &amp; &#x27;b&#x27;&gt;')"),
    _cell("xml-etree", """
        import xml.etree.ElementTree as ET
        root = ET.fromstring("<r><item id='1'>one</item><item id='2'><b>two</b></item></r>")
        ET.SubElement(root, "item", id="3").text = "drei"
        print([(i.get("id"), "".join(i.itertext())) for i in root.iter("item")], root.find("./item[@id='2']/b").text)
        ET.tostring(root, encoding="unicode")[-30:]
        """, """
        [('1', 'one'), ('2', 'two'), ('3', 'drei')] two
        'm><item id="3">drei</item></r>'
        """),
    _cell("urllib-parse", """
        from urllib.parse import urlparse, parse_qs, urljoin, quote, unquote, urlencode
        u = urlparse("https://ex.org:8080/a/b?q=1&q=2&r=%C3%A9#frag")
        u.hostname, u.port, parse_qs(u.query), urljoin("http://h/a/b", "../c"), quote("a b/é"), unquote("%F0%9F%A6%9C"), urlencode({"a": "x y"})
        """, "('ex.org', 8080, {'q': ['1', '2'], 'r': ['é']}, 'http://h/c', 'a%20b/%C3%A9', '🦜', 'a=x+y')"),
    _cell("uuid", """
        import uuid
        a, b = uuid.uuid4(), uuid.uuid4()
        a != b, a.version, len(str(a)), uuid.uuid5(uuid.NAMESPACE_DNS, "example.com"), uuid.UUID(int=1)
        """, "(True, 4, 36, UUID('cfbff0d1-9375-5685-968c-48ce8b15ae17'), UUID('00000000-0000-0000-0000-000000000001'))"),
    _cell("random", """
        import random
        r = random.Random(7)
        random.seed(3)
        x = [random.randint(1, 6) for _ in range(3)]
        random.seed(3)
        print(x == [random.randint(1, 6) for _ in range(3)], r.randint(1, 100), r.sample(range(50), 3), sorted(r.choices("ab", k=2)) != [], random.SystemRandom().random() < 1)
        """, "True 42 [9, 25, 41] True True"),
    _cell("secrets-and-urandom", """
        import secrets, os
        print(len(secrets.token_hex(8)), secrets.compare_digest("a", "a"), len(os.urandom(5)), secrets.token_bytes(16) != secrets.token_bytes(16), secrets.choice([4]))
        """, "16 True 5 True 4"),
    _cell("sleep-nothing", """
        import time
        start = time.monotonic()
        time.sleep(0); time.sleep(0.001)
        time.monotonic() > start
        """, "True"),
    _cell("copy-and-pprint", """
        import copy, pprint
        a = {"z": [1, [2, 3]], "b": {"k": "v" * 60}}
        b = copy.deepcopy(a); b["z"][1].append(4)
        pprint.pprint(a, width=50)
        print(a["z"], copy.copy(a)["z"] is a["z"], pprint.pformat(list(range(3))))
        """, """
        {'b': {'k': 'vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv'},
         'z': [1, [2, 3]]}
        [1, [2, 3]] True [0, 1, 2]
        """),
    _cell("string-io-and-contextlib", r"""
        import io, contextlib, sys
        buffer = io.StringIO("a\nb\n")
        with contextlib.redirect_stdout(io.StringIO()) as caught: print("hidden")
        @contextlib.contextmanager
        def tag(name):
            print(f"<{name}>")
            try: yield name.upper()
            finally: print(f"</{name}>")
        with tag("b") as t, contextlib.suppress(ZeroDivisionError), contextlib.ExitStack() as stack:
            stack.callback(print, "bye")
            print(t, caught.getvalue().strip(), [l.strip() for l in buffer]); 1 / 0
        print("err", file=sys.stderr); sys.stdout.write("raw\n"); sys.stdout.flush()
        """, """
        <b>
        B hidden ['a', 'b']
        bye
        </b>
        err
        raw
        """),
    _cell("struct-array-memoryview", r"""
        import struct, array
        packed = struct.pack("<IhB4s", 1, -2, 255, b"ab")
        arr = array.array("d", [1.5, 2]); arr.extend([3])
        view = memoryview(bytearray(b"abcdef")); view[1:3] = b"XY"
        struct.unpack("<IhB4s", packed), arr.tolist(), bytes(view), int.from_bytes(b"\x01\x00", "big"), bytes.fromhex("00ff"), struct.calcsize("!HI")
        """, r"""((1, -2, 255, b'ab\x00\x00'), [1.5, 2.0, 3.0], b'aXYdef', 256, b'\x00\xff', 6)"""),
    _cell("unicode", r"""
        import unicodedata as ud
        s = "Zoë\u0301 ﬁ Ⅷ"
        print(ud.normalize("NFKD", s) == s, ud.name("é"), ud.category("Ⅷ"), ud.numeric("Ⅷ"), "ß".casefold(), "İ".lower() == "i̇", "🦜".encode("utf-16-le").hex())
        "".join(c for c in ud.normalize("NFD", "naïve café") if not ud.combining(c)), "é".encode("latin-1"), b"\x80".decode("cp1252"), "ж".encode("koi8-r")
        """, r"""
        False LATIN SMALL LETTER E WITH ACUTE Nl 8.0 ss True 3ed89cdd
        ('naive cafe', b'\xe9', '€', b'\xd6')
        """),
    _cell("fractions-math-cmath", """
        from fractions import Fraction
        import math, cmath
        Fraction(1, 3) + Fraction("0.25"), math.isclose(0.1 + 0.2, 0.3), math.comb(10, 3), math.gcd(12, 18), math.prod([2, 3]), math.isqrt(99), round(abs(cmath.exp(1j)), 6), math.fsum([0.1] * 10), math.inf > 1
        """, "(Fraction(7, 12), True, 120, 6, 6, 9, 1.0, 1.0, True)"),
    _cell("graphlib-operator", """
        import graphlib, operator
        order = list(graphlib.TopologicalSorter({"d": {"b", "c"}, "b": {"a"}, "c": {"a"}}).static_order())
        rows = [{"n": "x", "q": 2}, {"n": "y", "q": 1}]
        order[0], order[-1], sorted(rows, key=operator.itemgetter("q"))[0]["n"], operator.attrgetter("real")(3), operator.methodcaller("upper")("a")
        """, "('a', 'd', 'y', 3, 'A')"),
    _cell("calendar-and-locale", """
        import calendar, locale
        print(calendar.month(2024, 2).splitlines()[0].strip(), tuple(map(int, calendar.monthrange(2024, 2))), calendar.isleap(1900), calendar.day_name[0])
        locale.setlocale(locale.LC_ALL, "C"), locale.format_string("%.2f", 3.14159), locale.localeconv()["decimal_point"]
        """, """
        February 2024 (3, 29) False Monday
        ('C', '3.14', '.')
        """),
    _cell("zoneinfo-is-there-or-says-so", """
        import zoneinfo
        from datetime import datetime, timezone
        try: shown = datetime(2024, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")).utcoffset().total_seconds() / 3600
        except (zoneinfo.ZoneInfoNotFoundError, OSError): shown = 2.0  # needs files: a gap that is documented
        shown, datetime(2024, 7, 1, tzinfo=timezone.utc).utcoffset().total_seconds()
        """, "(2.0, 0.0)"),
    _cell("warnings-traceback-logging", r"""
        import warnings, traceback, logging, sys, io
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always"); warnings.warn("old", DeprecationWarning)
        try: {}["k"]
        except KeyError: text = traceback.format_exc()
        stream = io.StringIO()
        log = logging.getLogger("cell"); log.addHandler(logging.StreamHandler(stream)); log.propagate = False; log.error("oops %d", 3)
        print(caught[0].message, text.splitlines()[0], text.splitlines()[-1], stream.getvalue().strip())
        """, "old Traceback (most recent call last): KeyError: 'k' oops 3"),
    _cell("sys-gc-weakref", """
        import sys, gc, weakref
        class Node: pass
        n = Node(); n.me = n; ref = weakref.ref(n); del n; gc.collect()
        print(ref() is None, sys.getsizeof("") > 40, sys.version_info >= (3, 11), sys.maxsize == 2**63 - 1, sys.getrecursionlimit() >= 900)
        cache = weakref.WeakValueDictionary(); keep = Node(); cache["a"] = keep; len(cache), sys.intern("x") is sys.intern("x"), sys.platform
        """, """
        True True True True True
        (1, True, 'linux')
        """),
    _cell("abc-and-types", """
        import abc, types
        class Base(abc.ABC):
            @abc.abstractmethod
            def run(self): ...
        try: Base()
        except TypeError as e: print(str(e)[:40])
        ns = types.SimpleNamespace(a=1, b="x"); ns.c = 3
        print(ns, types.MappingProxyType({"k": 1})["k"], isinstance(lambda: 0, types.FunctionType), type("Made", (), {"v": 4}).v)
        """, """
        Can't instantiate abstract class Base wi
        namespace(a=1, b='x', c=3) 1 True 4
        """),
    _cell("inspect-ast-tokenize", r"""
        import inspect, ast, tokenize, io, dis, keyword, symtable
        def f(a, /, b: int = 2, *args, key=None, **kw) -> str: "Doc."
        names = [t.string for t in tokenize.generate_tokens(io.StringIO("x = y + 1\n").readline) if t.type == tokenize.NAME]
        print(inspect.signature(f), inspect.getdoc(f), ast.literal_eval("[1, {'a': (2, None)}]"), names, ast.unparse(ast.parse("a+b*2")))
        [n.id for n in ast.walk(ast.parse("u + v")) if isinstance(n, ast.Name)], inspect.isfunction(f), keyword.iskeyword("match")
        """, """
        (a, /, b: int = 2, *args, key=None, **kw) -> str Doc. [1, {'a': (2, None)}] ['x', 'y'] a + b * 2
        (['u', 'v'], True, False)
        """),
    _cell("match-walrus-star", """
        def kind(x):
            match x:
                case {"type": "add", "args": [a, b, *rest]} if a < b: return a + b, rest
                case [int(first), *_]: return first
                case str() | bytes() as s: return s[:1]
                case complex(real=r): return r
                case _: return None
        print([kind(x) for x in ({"type": "add", "args": [1, 2, 9], "z": 0}, [7, 8], "hey", 3j, 1.5)])
        if (n := len(context.splitlines())) > 5: print(n, [y for x in range(4) if (y := x * x) % 2 == 0])
        head, *middle, tail = "abcde"
        middle, [*range(2), *"xy"], {**{"a": 1}, "b": 2}, (lambda *a, **k: (a, k))(*[1], **{"z": 2})
        """, """
        [(3, [9]), 7, 'h', 0.0, None]
        6 [0, 4]
        (['b', 'c', 'd'], [0, 1, 'x', 'y'], {'a': 1, 'b': 2}, ((1,), {'z': 2}))
        """),
    _cell("exception-groups", """
        try:
            try: raise ExceptionGroup("many", [ValueError("v"), ExceptionGroup("in", [KeyError("k")])])
            except* ValueError as g: print("values", [str(e) for e in g.exceptions])
        except ExceptionGroup as rest: print(rest.message, rest.exceptions[0].exceptions)
        class Mine(Exception):
            def __init__(self, code): super().__init__(f"code {code}"); self.code = code
        try:
            try: 1 / 0
            except ZeroDivisionError as e: e.add_note("n"); raise Mine(7) from e
        except Mine as e: print(e, e.code, type(e.__cause__).__name__, e.__cause__.__notes__)
        else: print("no")
        finally: print("done")
        """, """
        values ['v']
        many (KeyError('k'),)
        code 7 7 ZeroDivisionError ['n']
        done
        """),
    _cell("pickle-and-shelve-in-memory", """
        import pickle, marshal, io
        class P:
            def __init__(self, x): self.x = x
        out = io.BytesIO(); pickle.dump([P(3), {1, 2}], out); out.seek(0)
        back = pickle.load(out)
        back[0].x, back[1], marshal.loads(marshal.dumps((1, "a")))
        """, "(3, {1, 2}, (1, 'a'))"),
    _cell("set-algebra-and-comprehensions", """
        a, b = set("abc"), frozenset("bcd")
        print(sorted(a & b), sorted(a | b), sorted(a ^ b), a > {"a"}, {k: v for k, v in zip("xy", range(2))})
        m = [[1, 2, 3], [4, 5, 6]]
        [list(r) for r in zip(*m)], sorted(m, key=lambda r: -r[0])[0], any(x > 5 for r in m for x in r), dict(sorted({"b": 1, "a": 2}.items()))
        """, """
        ['b', 'c'] ['a', 'b', 'c', 'd'] ['a', 'd'] True {'x': 0, 'y': 1}
        ([[1, 4], [2, 5], [3, 6]], [4, 5, 6], True, {'a': 2, 'b': 1})
        """),
    _cell("big-numbers-and-text", """
        n = 2 ** 200
        print(n % 1_000_007, len(str(n)), hex(255), bin(5), int("ff", 16), f"{n:.3e}", round(2.5), divmod(-7, 2), -7 // 2, 0.1 + 0.2, pow(3, -1, 7))
        "a,b,,c".split(","), "x=1".partition("="), "Title Case".swapcase(), "abc".center(9, "*"), "é".isalpha(), "  x ".strip(), "aXbX".replace("X", "-", 1), "%s-%03d" % ("a", 7)
        """, """
        446616 61 0xff 0b101 255 1.607e+60 2 (-4, 1) -4 0.30000000000000004 5
        (['a', 'b', '', 'c'], ('x', '=', '1'), 'tITLE cASE', '***abc***', True, 'x', 'a-bX', 'a-007')
        """),
    _cell("configparser-email-shlex", r"""
        import configparser, shlex, email, fnmatch, posixpath, pathlib
        c = configparser.ConfigParser(); c.read_string("[s]\na = 1\nb = %(a)s2\n")
        m = email.message_from_string("Subject: Hi\nTo: a@b\n\nBody")
        c["s"].getint("b"), shlex.split("a 'b c' d"), m["subject"], m.get_payload(), fnmatch.filter(["a.py", "b.md"], "*.py"), pathlib.PurePosixPath("/a/b.tar.gz").suffixes, posixpath.join("a", "../b")
        """, "(12, ['a', 'b c', 'd'], 'Hi', 'Body', ['a.py'], ['.tar', '.gz'], 'a/../b')"),
    _cell("numbers-from-the-context", """
        import re
        from collections import defaultdict
        totals = defaultdict(float)
        for amount, unit in re.findall(r"([\\d.]+) (EUR|USD)", context): totals[unit] += float(amount)
        best = max(totals, key=totals.get)
        print(dict(totals), best, f"{len(context):,} chars, {len(context.splitlines())} lines", context[:13], context.rstrip()[-1])
        """, "{'EUR': 217.5, 'USD': 99.99} EUR 284 chars, 6 lines # Report 2024 🦜"),
    _cell("answer-ready", """
        answer["content"] = {"total": 217.5, "names": ("Alice", "Bob"), "seen": {2, 1}}
        answer["ready"] = True
        print("submitted")
        """, "submitted", {"total": 217.5, "names": ["Alice", "Bob"], "seen": [1, 2]}),
    _cell("final", "FINAL(f'{len(context)} characters')", "", "284 characters"),
    _cell("final-var", "FINAL_VAR('best')", "", ["Alice", 125.5], ["best = ('Alice', 125.5)"]),
    _cell("show-vars", "SHOW_VARS()", """
        context: str[284] = '# Report 2024\\nAlice <alice@exam... EUR; naïve totals are wrong. 🦜\\n'
        answer: dict[2] = {'content': '', 'ready': False}
        rows: list[3] = [1, 2, 3]
        seen: dict[1] = {'a': {'b': {...}}}
        """, None, ["import re\nrows = [1, 2, 3]\nseen = {'a': {'b': {'c': 1}}}"]),
]  # fmt: skip
