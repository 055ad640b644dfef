-- differs: numbers in other bases and with underscores came with PostgreSQL 16
select 0x1F, 1_000
-- differs: a negative LIMIT is refused before it runs
select 1 limit -1
-- differs: a negative OFFSET is refused before it runs
select * from orders offset -1
-- differs: PostgreSQL has the number checked by the protocol
select $70000
-- differs: a parameter that nothing types but IS NULL is text
select $1 is null
-- differs: a parameter that nothing types but IS NULL is text
select case when $1 then 1 end, coalesce($2, 1), $3 || 'x', $4 like 'x', length($5), $6 is null, $7 in (1, 2)
select status as s, count(*) as n from orders group by s having count(*) > 1 order by n desc, s limit 3
select status as id, id as status from orders group by id, status order by id
select id as status from orders group by status
select o.*, c.name from orders o, customers c
select orders.id, orders.* from orders order by orders.id
select public.orders.id from orders
select public.orders.id from public.orders
select sales.regions.id from sales.regions
select regions.id from sales.regions
select id from orders where id = $1 and status = $2 limit $3 offset $4
select $1::int + $2, $1
select $1 = $2
select $1 + $2
select upper(null), lower($1), null || null, null + 1
select 'a' || 1, 1 || 'a', 'a' || 'b', 'a' || null, true || 'x', date '2024-01-01' || 'x'
select 1 || 2
select status || id, id || status, code || note, note || note from orders
select not null, null and true, null or null, null is true
select extract(epoch from now()), extract(dow from date '2024-01-01'), extract(hour from time '10:00'), extract(day from interval '1 day')
select now() - interval '1 day', now() + '1 day', now()::date + 1, current_date + interval '1 hour', current_timestamp - current_date
select count(*) filter (where id > 1), count(distinct status), sum(distinct id) from orders
select sum(total) / count(*), avg(total)::numeric(10,2), sum(total) * 1.0, min(status) || 'x' from orders
select id, sum(total) from orders group by id having sum(total) > 0 order by sum(total) desc
select customer_id, status from orders group by customer_id, status having customer_id > 0
select id + 1 from orders group by id + 1
select id + 2 from orders group by id + 1
select (id + 1) * 2 from orders group by id + 1
select total from orders group by id
select orders.total, customers.name from orders, customers group by orders.id
select orders.total, customers.name from orders, customers group by orders.id, customers.id
select 1 from orders group by ()
select max(id) from orders order by id
select max(id) from orders order by max(id), count(*)
select distinct id + 1 from orders order by id + 1
select distinct id + 1 as x from orders order by x
select distinct id as x from orders order by id
select id x from orders order by x + 1
select id x from orders order by id + 1
select id, id from orders order by id
select id, status as id from orders order by id
select a.id from orders a join orders b on a.id = b.id join customers c on c.id = a.customer_id
select * from customers a join customers b using (id) join customers c using (id)
select id from customers a join customers b using (id)
select a.id, b.id from customers a join customers b using (id)
select name from customers a join customers b using (id)
select x from orders as o (x)
select id from orders as o (x)
select x, y from (select 1, 2) as t (x, y)
select x, column2 from (values (1, 'a'), (2, 'b')) as t (x)
select * from (values (1, 'a'), (2.5, null)) t
select * from (select 'x' as a, null as b) t
select a || 'y', b || 'z' from (select 'x' as a, null as b) t
select 1 union select 2.5
select 'a' union all select 1
select '1' union all select 1
select null union all select 1
select null union all select null union all select 1
select 1 as a union all select 2 as b order by a
select 1 as a union all select 2 as b order by b
select 1 union select 2 limit 1
select id, status from orders union select id, name from customers order by status
with a as (select id from orders), b as (select id from a) select * from b
with a (x) as (select id from orders) select x from a
with a (x, y) as (select id from orders) select x from a
with a as (select id from b), b as (select 1) select * from a
with orders as (select 1 as z) select z from orders
with a as (with b as (select 1 as q) select q from b) select q from a
with a as (with b as (select 1 as q) select q from b) select q from b
select id in (1, '2'), id in ('1'), status in ('a', null), total in (1, 2.5, '3') from orders
select 1 in (1, 'a')
select 'a' in ('a', 'b'), null in (1), 1 in (null)
select id between '1' and 2.5, status between 'a' and 'b' from orders
select created_at between '2024-01-01' and current_date from orders
select nullif(1, '1'), nullif('a', 'b'), nullif(1, 2.5), nullif(null, 1)
select coalesce(null, null), coalesce('a', 'b'), coalesce(1, '2'), coalesce(1, 2.5, null)
select greatest('a', 'b'), least(1, 2.5), greatest(date '2024-01-01', timestamp '2024-01-01')
select case 1 when 1 then 'a' when 2 then 'b' end, case when true then null end, case 'a' when 'b' then 1 else 2.5 end
select case when 1 then 2 end
select case 1 when 'x' then 2 end
select cast('1' as integer), '1'::int, int '1', int4 '1', date '2024-01-01'
select date 'x'
select 'x'::int
select '2024-01-01'::date + 1
select cast(1.5 as int), 1.5::text, true::int, 1::bool, 'yes'::bool
select 1::date
select now()::time, now()::timestamp, current_date::timestamptz
select numeric '1.50', '1.5'::numeric(3,1), 1.55::numeric(3,1)
select timestamp '2024-01-01' at time zone 'UTC', now() at time zone 'Europe/Berlin', now() at time zone interval '1 hour'
select substring('abc', 2), substring('abc' from 2 for 1), substr('abc', 1, 2), left('abc', 1), position('a' in 'abc')
select trim(' a '), trim(both 'x' from 'xax'), ltrim('a'), btrim('a', 'b'), lpad('a', 3), rpad('a', 3, 'x')
select round(1.5), round(1.55, 1), round(1.5::float8), trunc(1.5), ceil(1.5), floor(1), abs(-1), sign(-1.5), mod(5, 2), power(2, 3), sqrt(4)
select lower(1)
select length(1)
select abs('x')
select abs('1')
select sum('1')
select avg(null)
select min('a'), max(null), count('a')
select count(1, 2)
select lower()
select nosuch(1, 'a', null)
select nosuch()
select 1 + true
select 'a' + 'b'
select 'a' < 'b', 'a' = null
select date '2024-01-01' < '2024-01-02', date '2024-01-01' = timestamp '2024-01-01'
select time '10:00' + interval '1 hour', time '10:00' - time '09:00', date '2024-01-01' + time '10:00'
select interval '1 day' * 2, 2 * interval '1 day', interval '1 day' / 2, interval '1 day' * 1.5
select -interval '1 day', - 1.5, -(-1), - - 1
select 5 / 2, 5 % 2, 5.0 / 2, 5 / 2.0, 2 ^ 2, 5::smallint / 2::bigint
select id from nosuch.orders
select nosuch.orders.id from orders
select orders.nosuch from orders
select o.nosuch from orders o where o.id = 1
select id from orders where nosuch = 1
select id from orders order by nosuch
select id from orders group by nosuch
select id from orders having count(*) > 1
select count(*) from orders having id > 1
select 1 having true
select 1 where true
select 1 where count(*) = 1
select 1 order by count(*)
select id from orders where sum(id) > 1
select id, count(*) filter (where sum(id) > 1) from orders group by id
select sum(id) filter (where 1) from orders
select lower(status) filter (where true) from orders
select * from orders limit '5'
select * from orders limit 1.5
select * from orders limit null offset null
select * from orders limit all
select * from orders limit true
select * from orders limit count(*)
select doc ->> 'a', doc -> 'b' ->> 'c', (doc ->> 'n')::int + 1 from orders
select doc ->> id from orders
select raw || raw, raw || 'x', length(raw), md5(raw), encode(raw, 'hex') from sales.regions
select ref = '00000000-0000-0000-0000-000000000000', ref < ref, ref::text from sales.regions
select ref = 'x' from sales.regions
select ref + 1 from sales.regions
select active and 'true', active = 't', active or null, not active from customers
select active = 1 from customers
select name from customers where active = 'maybe'
select 'abc' like 'a%', 'abc' not like 'a_c' escape '!', 'abc' ilike 'A%', name like country from customers
select 1 like 'a'
select name like 1 from customers
select is_true is true from (select true as is_true) t
select name is true from customers
select name is null, name notnull, name isnull from customers
select id is distinct from 1, name is not distinct from null, name is distinct from 1 from customers
select "id", "Name" from customers
select ID, NAME from CUSTOMERS
select true, false, null, 1 = 1, - id from orders
select now() as "now", current_date, localtime, localtimestamp, current_timestamp
select concat('a', 1, null, true), concat_ws(',', 'a', 1), concat()
select to_timestamp(1), make_date(2024, 1, 1), date_trunc('day', now()), date_trunc('day', date '2024-01-01'), date_trunc('day', '2024-01-01')
select age(now(), now()), age(timestamp '2024-01-01', timestamp '2024-01-01'), age(date '2024-01-01', now())
select text 'a', varchar 'b', char 'c', 'abc'::char(2), 'abc'::varchar(2), bpchar 'x'
select text(1), int4('1'), float8(1), date('2024-01-01'), numeric(1)
select 1e3, .5, 5.
select id from orders order by -1
select id from orders group by -1
select id from orders order by - (1)
select id from orders order by +1
select status from orders group by status order by -2
select from orders
select id from orders group by null
select id from orders order by null
select 1 from orders group by 'x'
select o.id, o.status from orders o group by o.id order by o.total
select distinct on (id) id from orders
select count(*) from orders, lines where orders.id = lines.order_id group by orders.id having max(lines.price) > 1 and orders.total > 1
select sum(id) as id from orders order by id
select sum(id) as s from orders group by status order by s, status
select status as x, count(*) from orders group by x
select lower(status) as status from orders group by status
select lower(status) as status from orders group by lower(status)
select lower(status) as l from orders group by l order by l
select 1 as one group by one
select 1 as one, 'x' as y group by one, y
select 'x' as y group by 1 order by 1
select id + $1, $1 from orders
select $1::text, $1
select * from (select $1 as a) t where a = 1
select * from (values ($1), (2)) t
select 1 where $1
select $2
select $1 || $2
select * from orders where status in ($1, $2) and id in ($3, 4) and created_at > $4 and total between $5 and $6
select lower($1), left($2, $3), round($4, 2), date_trunc($5, created_at) from orders
select coalesce($1, total), nullif($2, id), case when id = 1 then $3 else total end from orders
select 1 frm t x
select (1
select 1)
select from from
select 'a
select 1 where
select a b c
select 1 +
select * from orders where and id = 1
select * from orders order id
select count(* from orders
select 1 group by
select * from orders limit limit
select id from orders where id = = 1
select case when 1 then 2
select cast(1 integer)
select 1::
select 1 from orders,
select "a
select 1 as select
-- differs: the lexer reads on behind a lone dollar
select $
select 1 /* x
-- differs: an escape in a literal is a syntax error at the literal
select E'\u12'
select 1..2
select id from orders where status like
select id between 1 from orders
select é from orders
select 'é', nosuch from orders
select 'é' || 1 + 1
with a as select 1 select 1
values 1, 2
values (1,)
select 1; select 2
select interval '1' foo
select all distinct 1
