package main

import (
	"context"
	"fmt"

	"weir/bookstore/store"
)

type seedCmd struct {
	database
}

func (c *seedCmd) Run(ctx context.Context, s streams) error {
	books, err := c.open(ctx, store.Options{SyncConns: 1, AsyncConns: 1}, true)
	if err != nil {
		return err
	}
	defer books.Close()
	fmt.Fprintln(s.out, "The shop has its books.")
	return nil
}
