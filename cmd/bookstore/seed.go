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
		fmt.Fprintln(s.out, "No administrator was made or changed: that takes BOOKSTORE_ADMIN_PASSWORD.")
	}
	return nil
}
