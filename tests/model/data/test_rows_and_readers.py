"""Readers: what is good is read as it says, what is bad is named with its place."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from model.data.dataset import Pair
from model.data.errors import DataError
from model.data.mappings import ALIBABA, AMAZON, Source
from model.data.readers import read_named, read_own
from producer.errors import ProducerError

Write = Callable[[str, str], Path]

PRODUCTS = '{"id": "a", "title": "Red shoe"}\n{"id": "b", "title": "Red shoes"}\n{"id": "c", "title": "Desk"}\n'


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, content: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
        return file

    return write


@pytest.fixture
def products(write: Write) -> Path:
    return write("shop.jsonl", PRODUCTS)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.csv", "left_id,right_id,label,split\na,b,1,train\na,c,0,test\n"),
        ("p.csv.gz", "left_id;right_id;label;split\na;b;TRUE;\na;c;no;test\n"),
        (
            "p.jsonl",
            '{"left_id":"a","right_id":"b","label":1}\n{"left_id":"a","right_id":"c","label":false,"split":"test"}',
        ),
    ],
)
def test_pairs_of_any_format(products: Path, write: Write, name: str, content: str) -> None:
    dataset = read_own(products, write(name, content))

    assert dataset.pairs == [Pair("a", "b", True, "train"), Pair("a", "c", False, "test")]
    assert (dataset.name, list(dataset.products)) == ("shop", ["a", "b", "c"])


def test_pairs_without_labels_are_matches(products: Path, write: Write) -> None:
    assert read_own(products, write("p.csv", "left_id,right_id\na,b\n")).pairs == [Pair("a", "b", True, "train")]


def test_clusters(products: Path, write: Write) -> None:
    clusters = write("c.csv", "id,cluster_id\na,7\nb,7\nc,8\n")

    assert read_own(products, clusters=clusters).clusters == {"a": "7", "b": "7", "c": "8"}


def test_columns_are_mapped(write: Write) -> None:
    file = write("shop.csv", "sku,name,colour\n1,Shoe,red\n")

    dataset = read_own(file, mapping={"id": "sku", "title": "name", "attributes.colour": "colour"})

    assert dataset.products["1"].title == "Shoe"
    assert dataset.products["1"].attributes == {"colour": "red"}


@pytest.mark.parametrize(
    ("source", "content"),
    [
        (AMAZON, "parent_asin,title,store\nB01,Shoe,Acme\n"),
        (AMAZON, '{"parent_asin":"B01","title":"Shoe","store":"Acme"}'),
        (ALIBABA, "商品ID\t商品名称\t品牌\nB01\tShoe\tAcme\n"),
        (ALIBABA, "\ufeff商品ID\t商品名称\t品牌\nB01\tShoe\tAcme\n"),
    ],
)
def test_sources_name_the_id_their_way(write: Write, source: Source, content: str) -> None:
    name = "shop.jsonl" if content.startswith("{") else "shop.tsv" if "\t" in content else "shop.csv"

    product = read_own(write(name, content), source=source).products["B01"]

    assert (product.title, product.brand) == ("Shoe", "Acme")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("left_id,right_id,label\na,b,1\na,c,perhaps\n", r"p.csv:3: label='perhaps' is no label: send 1 .* or 0"),
        ("left_id,right_id,label\na,b,1\na,c,\n", r"p.csv:3: label=None is no label"),
        ("left_id,right_id\na,a\n", r"p.csv:2: left_id='a' is paired with itself: leave"),
        ("left_id,right_id\na,\n", r"p.csv:2: right_id=None is not allowed: send"),
        ("left_id,label\na,1\n", r"p.csv has no column 'right_id'"),
        ("left_id,right_id\na\n", r"p.csv:2: row has 1 cells, the header 2"),
        (
            "left_id,right_id\n" + "".join(f"a,x{i}\n" for i in range(7)),
            r"p.csv names unknown products 'x0', 'x1', 'x2', 'x3', 'x4' and 2 more: add",
        ),
    ],
)
def test_a_bad_pair_is_named(products: Path, write: Write, content: str, message: str) -> None:
    with pytest.raises(ProducerError, match=message):
        read_own(products, write("p.csv", content))


def test_pairs_of_unknown_products_are_skipped_and_counted_when_asked(products: Path, write: Write) -> None:
    skipped: list[Pair] = []

    dataset = read_own(products, write("p.csv", "left_id,right_id\na,b\na,x\ny,b\n"), skipped=skipped)

    assert dataset.pairs == [Pair("a", "b", True, "train")]
    assert [(pair.left, pair.right) for pair in skipped] == [("a", "x"), ("y", "b")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PRODUCTS + '{"id": "a", "title": "Again"}', "shop.jsonl:4: id='a' is there already"),
        ('{"id": "a"}', "shop.jsonl:1: title=None says nothing"),
        ('{"id": "a", "title": "A", "price": -1}', "shop.jsonl:1: price=-1 is not allowed: send a number"),
        ("nonsense", "shop.jsonl:1: "),
        ("", "shop.jsonl has no products"),
    ],
)
def test_a_bad_product_is_named(write: Write, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_own(write("shop.jsonl", content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,cluster_id\na,1\na,2\n", "c.csv:3: id='a' is in cluster '1' already"),
        ("id,cluster_id\nz,1\n", "c.csv names unknown products 'z'"),
        ("id\na\n", "c.csv has no column 'cluster_id'"),
    ],
)
def test_a_bad_cluster_is_named(products: Path, write: Write, content: str, message: str) -> None:
    with pytest.raises(ProducerError, match=message):
        read_own(products, clusters=write("c.csv", content))


def test_unknown_sets_and_missing_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'abt' is not known: choose one of abt_buy, ali"):
        read_named(tmp_path, "abt")
    with pytest.raises(DataError, match="'abt_buy' is not in"):
        read_named(tmp_path, "abt_buy")
    with pytest.raises(ProducerError, match="cannot be read"):
        read_own(tmp_path / "missing.jsonl")
    with pytest.raises(ProducerError, match="cannot be read"):
        read_own(tmp_path / "missing.csv", source=AMAZON)


def test_two_tables_have_sides(write: Write, tmp_path: Path) -> None:
    write("abt_buy/tableA.jsonl.gz", '{"id":"A0","title":"x"}')
    write("abt_buy/tableB.jsonl.gz", '{"id":"B0","title":"x"}')
    write("abt_buy/pairs.csv.gz", "left_id,right_id,label,split\nA0,B0,1,valid\n")

    dataset = read_named(tmp_path, "abt_buy")

    assert dataset.sides == {"A0": "A", "B0": "B"}
    assert dataset.pairs == [Pair("A0", "B0", True, "valid")]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "products", "splits", "matches"),
    [
        (
            "abt_buy",
            1081 + 1092,
            {"train": 5743, "valid": 1916, "test": 1916},
            {"train": 616, "valid": 206, "test": 206},
        ),
        (
            "amazon_google",
            1363 + 3226,
            {"train": 6874, "valid": 2293, "test": 2293},
            {"train": 699, "valid": 234, "test": 234},
        ),
        ("fashion_catalog_44k", 44_072, {}, {}),
        ("fashion_images_1500", 1500, {}, {}),
    ],
)
def test_counts_of_the_sets(
    shared_data: Path, name: str, products: int, splits: dict[str, int], matches: dict[str, int]
) -> None:
    dataset = read_named(shared_data, name)

    assert len(dataset.products) == products
    assert Counter(pair.split for pair in dataset.pairs) == splits
    assert Counter(pair.split for pair in dataset.pairs if pair.same) == matches


@pytest.mark.shared
def test_counts_of_wdc(shared_data: Path) -> None:
    dataset = read_named(shared_data, "wdc_lspc_titles")

    assert (len(dataset.products), len(dataset.pairs)) == (13_549, 113_526)
    assert Counter(pair.same for pair in dataset.pairs if pair.split == "test") == {True: 1091, False: 3009}
    assert Counter(pair.same for pair in dataset.pairs if pair.split == "extra")[True] == 11_105
