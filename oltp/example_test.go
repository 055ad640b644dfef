package oltp_test

import (
	"context"
	"fmt"
	"os"

	"github.com/millrace/millrace/oltp"
	"github.com/millrace/millrace/schemas"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "oltp")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	db, err := oltp.Open(oltp.Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	defer db.Close()

	_, err = db.CreateTable(ctx, schemas.Table{
		Name: "cities",
		Columns: []schemas.Column{
			{ID: 1, Name: "country", Type: schemas.Type{Kind: schemas.Text}},
			{ID: 2, Name: "name", Type: schemas.Type{Kind: schemas.Text}},
			{ID: 3, Name: "people", Type: schemas.Type{Kind: schemas.Int64}},
		},
		Key: []uint32{1, 2},
	})
	if err != nil {
		panic(err)
	}
	city := func(country, name string, people int64) schemas.Row {
		return schemas.Row{schemas.NewText(country), schemas.NewText(name), schemas.NewInt(schemas.Int64, people)}
	}
	// Durable once Update returns; the LSN is what the warehouse can be asked to wait for.
	if _, err := db.Update(ctx, func(tx *oltp.Tx) error {
		for _, row := range []schemas.Row{city("ch", "Bern", 134_000), city("ch", "Uster", 36_000), city("de", "Ulm", 129_000)} {
			if err := tx.Insert("cities", row); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		panic(err)
	}
	err = db.View(ctx, func(tx *oltp.Tx) error {
		for row, err := range tx.Scan("cities", oltp.Prefix(schemas.NewText("ch"))) {
			if err != nil {
				return err
			}
			fmt.Println(row[1].Bytes(), row[2].Int())
		}
		return nil
	})
	if err != nil {
		panic(err)
	}
	// Output:
	// Bern 134000
	// Uster 36000
}
