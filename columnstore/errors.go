package columnstore

import "github.com/millrace/millrace/schemas"

var errClosed = &schemas.Error{Code: schemas.CodeNotReady, SQLState: "57P01", Message: "the warehouse is shutting down", Retryable: true}
