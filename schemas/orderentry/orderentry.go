// Package orderentry is the sample schema of a shop: customers, products, stock,
// orders, order lines and payments. The demo's workload writes it and
// pipelines/demo.yaml reads it.
package orderentry

import "github.com/millrace/millrace/schemas"

// The indexes of each table's columns, in the order of schemas.Table.Columns.
const (
	CustomerID = iota
	CustomerEmail
	CustomerName
	CustomerCountry
	CustomerCreated
)

// Columns of products.
const (
	ProductID = iota
	ProductSKU
	ProductName
	ProductCategory
	ProductPrice
)

// Columns of stock. Quantity plus sold never changes.
const (
	StockProduct = iota
	StockQuantity
	StockSold
	StockUpdated
)

// Columns of orders.
const (
	OrderID = iota
	OrderCustomer
	OrderStatus
	OrderCreated
	OrderTotal
)

// Columns of order_lines, whose key is order and line number.
const (
	LineOrder = iota
	LineNumber
	LineProduct
	LineQuantity
	LineUnitPrice
)

// Columns of payments. Every paid or shipped order has one, of its total.
const (
	PaymentID = iota
	PaymentOrder
	PaymentAmount
	PaymentMethod
	PaymentPaidAt
)

// The statuses of an order, in the order it passes them. An open order has no payment.
const (
	StatusOpen    = "open"
	StatusPaid    = "paid"
	StatusShipped = "shipped"
)

// Tables returns the six tables. Column ids count from 1 in the order above.
func Tables() []*schemas.Table {
	return []*schemas.Table{
		Customers(), Products(), Stock(), Orders(), OrderLines(), Payments(),
	}
}

func kind(k schemas.Kind) schemas.Type { return schemas.Type{Kind: k} }

var money = schemas.Type{Kind: schemas.Numeric, Precision: 12, Scale: 2}

type column struct {
	name string
	typ  schemas.Type
}

// table makes a table whose key is its first keys columns and whose columns are
// all NOT NULL.
func table(name string, keys int, columns ...column) *schemas.Table {
	t := &schemas.Table{Schema: "public", Name: name, Version: 1}
	for i, c := range columns {
		id := uint32(i + 1)
		t.Columns = append(t.Columns, schemas.Column{ID: id, Name: c.name, Type: c.typ, NotNull: true})
		if i < keys {
			t.Key = append(t.Key, id)
		}
	}
	return t
}

// Customers holds people who order.
func Customers() *schemas.Table {
	t := table("customers", 1,
		column{"id", kind(schemas.Int64)},
		column{"email", kind(schemas.Text)},
		column{"name", kind(schemas.Text)},
		column{"country", kind(schemas.Text)},
		column{"created_at", kind(schemas.TimestampTZ)})
	t.Columns[CustomerName].NotNull = false
	return t
}

// Products holds what is sold.
func Products() *schemas.Table {
	return table("products", 1,
		column{"id", kind(schemas.Int64)},
		column{"sku", kind(schemas.Text)},
		column{"name", kind(schemas.Text)},
		column{"category", kind(schemas.Text)},
		column{"price", money})
}

// Stock holds how many pieces of a product are in the store and in order lines.
func Stock() *schemas.Table {
	return table("stock", 1,
		column{"product_id", kind(schemas.Int64)},
		column{"quantity", kind(schemas.Int32)},
		column{"sold", kind(schemas.Int32)},
		column{"updated_at", kind(schemas.TimestampTZ)})
}

// Orders holds orders; total is the sum of the lines.
func Orders() *schemas.Table {
	return table("orders", 1,
		column{"id", kind(schemas.Int64)},
		column{"customer_id", kind(schemas.Int64)},
		column{"status", kind(schemas.Text)},
		column{"created_at", kind(schemas.TimestampTZ)},
		column{"total", money})
}

// OrderLines holds the lines of orders.
func OrderLines() *schemas.Table {
	return table("order_lines", 2,
		column{"order_id", kind(schemas.Int64)},
		column{"line_no", kind(schemas.Int32)},
		column{"product_id", kind(schemas.Int64)},
		column{"quantity", kind(schemas.Int32)},
		column{"unit_price", money})
}

// Payments holds payments of orders.
func Payments() *schemas.Table {
	return table("payments", 1,
		column{"id", kind(schemas.Int64)},
		column{"order_id", kind(schemas.Int64)},
		column{"amount", money},
		column{"method", kind(schemas.Text)},
		column{"paid_at", kind(schemas.TimestampTZ)})
}
