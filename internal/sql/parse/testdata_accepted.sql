SELECT -5, a.b AS "X", 'x'::text, date '2024-01-01', 1.5e3, 3000000000, $1, true, null
select a not like 'x%' escape '!' or b between 1 and 2 and c in (1,2) or not d ilike $2
select x at time zone 'UTC', extract(year from t), extract('dow' from t), count(*), interval '1 day', trim(both 'x' from y), trim(y), trim(leading from y), trim(y, 'ab'), trim('x' from y)
select (a+b)*2, (a.b), nullif(a,b), coalesce(a,1), greatest(a,b,c), least(1,2), current_date, current_timestamp, localtimestamp
select case a when 1 then 2 else 3 end, case when a > 1 then 'x' when b then 'y' end, position('a' in b), substring(x from 2 for 3), substring(x, 2), cast(a as numeric(10,2))
select interval '90' day, b::varchar(3), timestamp with time zone '2020-01-01 00:00+00', a::double precision, (cast('1' as int))::text, cast((a) as char(3)), '1'::char, '1'::bpchar
select count(distinct a), sum(b) filter (where c > 1), x not in (1,2), a not between symmetric 1 and 2, -x, a <> b, a != b, a || 'x' || b, a ->> 'k', a -> 1
select t.*, * from s.t as u(x,y) join v on u.a = v.b cross join w inner join z using (a,b), (select 1) q order by 1 desc nulls first, 2 limit 10 offset 5
select distinct a, b from t, u, v where t.a = u.a and u.b = v.b group by a, b, 3 having count(*) > 1 order by a desc, b nulls last offset 5 limit 10
with c as (select 1), d(x, y) as (values (1, 2), (3, 4)) select * from c, d where c.a = d.x
select 1 union all select 2 union select 3 order by 1 limit 3
(select 1 limit 1) union all (values (1), (2)) order by 1
values (1, 'a'), (2, null) order by 1 fetch first 2 rows only
explain analyze select a from b where c is not null and d is not true and e is distinct from f and g is unknown and h isnull
explain (costs off, analyze) select lower(a), date_trunc('day', b), upper("Weird Name"), left(x, 2), right(x, 1), replace(a, 'b', 'c'), date(x)
select name, value, type, key, year, day, status, data from names as value where text = 'x' and value.name = 1
select pg_catalog.lower(x), pg_catalog.timezone('UTC', y) from pg_catalog.z
select a % b ^ c, a << 2, ~b, @c, a <= b, a >= c, a < d, not (a = b), a is not distinct from null, numeric '1.0', int4 '1', "text" '1', bool 't'
select sum(l_extendedprice * (1 - l_discount)) as revenue from lineitem where l_shipdate >= date '1994-01-01' and l_shipdate < date '1994-01-01' + interval '1' year
table orders order by id fetch next row only
select (((a))), ((a + (b)) :: int), f(), g((a)), h(a, (b)), ((select_me)) from x where (((a))) in ((1), (2))
select a from t limit all
select a from t where b = any_name and "select" = 1 and 'it''s' = E'a\nb' and $$x$$ = U&'\0061'
select '1'::char, 5, a::character, 6, b::numeric(5), 7, c::numeric(5, 2), 8, cast('x' as char), 9, timestamp(6) '2020-01-01', 10
select a from t where a between -1 and -b and c between - 2 and -(3) and d in (-1, - 1.5, - -2) limit 5 offset 6
select a from t offset 5 rows fetch first 3 rows only
select a from t offset 5 fetch first row only
select a from t limit (1 + 2) offset (3)
select count(*) filter (where a > 1), count(all a), sum(distinct b + 1) from t group by all a, 2
select a as b, c d, e "f", g from (t join u using (x)) join (v cross join w) on v.a = w.b
select not a, not not b, (not c) is true, -a ^ 2, - (a + 1), @ a, a is null is not false
