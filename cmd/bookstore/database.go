package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"weir/bookstore/store"
)

// database is what every command needs that speaks to the shop's database.
type database struct {
	DSN  string        `name:"dsn" env:"BOOKSTORE_DSN,DATABASE_URL" placeholder:"URL" help:"The database: postgres://... or libpq's key=value form."`
	Wait time.Duration `default:"30s" env:"BOOKSTORE_WAIT" help:"How long to wait for a database that is not there yet."`
}

// Validate runs when the command line has been read. kong's own check takes an empty variable for a value.
func (d *database) Validate() error {
	if d.DSN == "" {
		return errors.New("no database: give --dsn or set BOOKSTORE_DSN or DATABASE_URL")
	}
	return nil
}

// stock is what a shop opens with.
type stock struct {
	Books         int    `default:"${books}" env:"BOOKSTORE_BOOKS" help:"Books that the shop has at least."`
	Users         int    `default:"${users}" env:"BOOKSTORE_USERS" help:"Readers who have reviewed some of them."`
	UserPassword  string `env:"BOOKSTORE_USER_PASSWORD" placeholder:"PASSWORD" help:"Lets the readers log in; better set in the environment."`
	Admin         string `default:"${admin}" env:"BOOKSTORE_ADMIN" help:"The administrator's name."`
	AdminPassword string `env:"BOOKSTORE_ADMIN_PASSWORD" placeholder:"PASSWORD" help:"Makes the administrator, or gives him this password; better set in the environment."`
}

func (s stock) seeding() store.Seeding {
	return store.Seeding{Books: s.Books, Users: s.Users, UserPassword: s.UserPassword, Admin: s.Admin, AdminPassword: s.AdminPassword}
}

// prepare brings the schema up to date, and fills the shop if it is told with what.
func (d *database) prepare(ctx context.Context, log *slog.Logger, seeding *store.Seeding) error {
	books, err := store.Open(ctx, store.Options{DSN: d.DSN, SyncConns: 1, AsyncConns: 1, Log: log})
	if err != nil {
		return err
	}
	defer books.Close()
	if err := books.WaitAndMigrate(ctx, d.Wait); err != nil {
		return err
	}
	if seeding != nil {
		if err := books.Seed(ctx, *seeding); err != nil {
			return err
		}
	}
	if yes, err := books.Superuser(ctx); err == nil && yes {
		log.Warn("the shop's role is a superuser: it takes the places that PostgreSQL keeps for administrators")
	}
	return nil
}
