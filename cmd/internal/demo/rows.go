package demo

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/millrace/millrace/oltp"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/orderentry"
)

var (
	countries  = []string{"AT", "BR", "CH", "DE", "ES", "FR", "GB", "IN", "IT", "JP", "KE", "MX", "NL", "PL", "SE", "US"}
	categories = []string{"audio", "books", "camping", "garden", "kitchen", "office", "sports", "tools", "toys", "travel"}
	methods    = []string{"card", "card", "card", "invoice", "transfer", "wallet"}
	firstNames = []string{"Ada", "Björk", "Chen", "Dilnoza", "Elif", "Farah", "Grace", "Hiro", "Inés", "João", "Kwame", "Lena"}
	lastNames  = []string{"Abe", "Bauer", "Costa", "Díaz", "Eriksen", "Fofana", "García", "Haddad", "Ito", "Jansen", "Kovač", "Lee"}
)

func bigint(n int64) schemas.Value      { return schemas.NewInt(schemas.Int64, n) }
func integer(n int64) schemas.Value     { return schemas.NewInt(schemas.Int32, n) }
func moment(micros int64) schemas.Value { return schemas.NewInt(schemas.TimestampTZ, micros) }
func money(cents int64) schemas.Value   { return schemas.NewNumeric(cents, 2) }
func centsOf(v schemas.Value) (int64, error) {
	cents, scale, _, ok := v.Numeric()
	if !ok || scale != 2 {
		return 0, fmt.Errorf("%#v is no amount of money", v)
	}
	return cents, nil
}

func customerRow(id int64, rng *rand.Rand, now time.Time) schemas.Row {
	first, last := firstNames[rng.IntN(len(firstNames))], lastNames[rng.IntN(len(lastNames))]
	name := schemas.NewText(first + " " + last)
	if rng.IntN(20) == 0 {
		name = schemas.Null
	}
	return schemas.Row{
		bigint(id), schemas.NewText(fmt.Sprintf("customer%d@example.com", id)), name,
		schemas.NewText(countries[rng.IntN(len(countries))]), moment(now.UnixMicro()),
	}
}

func productRow(id int64, rng *rand.Rand) schemas.Row {
	category := categories[rng.IntN(len(categories))]
	return schemas.Row{
		bigint(id), schemas.NewText(fmt.Sprintf("SKU-%06d", id)), schemas.NewText(fmt.Sprintf("%s article %d", category, id)),
		schemas.NewText(category), money(199 + rng.Int64N(50_000)),
	}
}

func stockRow(product, quantity, sold int64, now time.Time) schemas.Row {
	return schemas.Row{bigint(product), integer(quantity), integer(sold), moment(now.UnixMicro())}
}

func orderRow(o *order, status string) schemas.Row {
	return schemas.Row{bigint(o.id), bigint(o.customer), schemas.NewText(status), moment(o.created), money(o.total)}
}

func paymentRow(id int64, o *order, method string, now time.Time) schemas.Row {
	return schemas.Row{bigint(id), bigint(o.id), money(o.total), schemas.NewText(method), moment(now.UnixMicro())}
}

// placeOrder writes an order with its lines at today's prices, and takes the
// pieces from stock.
func placeOrder(tx *oltp.Tx, o *order) error {
	o.total = 0
	for i, l := range o.lines {
		product, err := tx.Get("products", bigint(l.product))
		if err != nil {
			return err
		}
		price, err := centsOf(product[orderentry.ProductPrice])
		if err != nil {
			return err
		}
		o.total += price * l.pieces
		line := schemas.Row{bigint(o.id), integer(int64(i + 1)), bigint(l.product), integer(l.pieces), money(price)}
		if err := tx.Insert("order_lines", line); err != nil {
			return err
		}
		if err := moveStock(tx, l.product, l.pieces); err != nil {
			return err
		}
	}
	return tx.Insert("orders", orderRow(o, orderentry.StatusOpen))
}

// removeOrder deletes an order with its lines and payment, and puts the pieces back.
func removeOrder(tx *oltp.Tx, o *order) error {
	for i, l := range o.lines {
		if err := tx.Delete("order_lines", bigint(o.id), integer(int64(i+1))); err != nil {
			return err
		}
		if err := moveStock(tx, l.product, -l.pieces); err != nil {
			return err
		}
	}
	if o.payment != 0 {
		if err := tx.Delete("payments", bigint(o.payment)); err != nil {
			return err
		}
	}
	return tx.Delete("orders", bigint(o.id))
}

// errSoldOut cannot happen with a million pieces of each product.
var errSoldOut = errors.New("a product is sold out")

// moveStock counts pieces as sold; negative ones come back.
func moveStock(tx *oltp.Tx, product, n int64) error {
	row, err := tx.Get("stock", bigint(product))
	if err != nil {
		return err
	}
	quantity := row[orderentry.StockQuantity].Int() - n
	if quantity < 0 {
		return errSoldOut
	}
	row[orderentry.StockQuantity] = integer(quantity)
	row[orderentry.StockSold] = integer(row[orderentry.StockSold].Int() + n)
	row[orderentry.StockUpdated] = moment(time.Now().UnixMicro())
	return tx.Update("stock", row)
}
