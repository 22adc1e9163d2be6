package main

import (
	"context"
	"fmt"
	"log/slog"
)

type seedCmd struct {
	database
	stock
}

func (c *seedCmd) Run(ctx context.Context, s streams) error {
	seeding := c.seeding()
	if err := c.prepare(ctx, slog.New(slog.NewTextHandler(s.err, nil)), &seeding); err != nil {
		return err
	}
	fmt.Fprintln(s.out, "The shop has its books.")
	if c.AdminPassword == "" {
		fmt.Fprintln(s.out, "It has got no administrator: set BOOKSTORE_ADMIN_PASSWORD and seed again to make one.")
	}
	return nil
}
