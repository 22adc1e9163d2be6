// Package bookstore is the domain of weir's demo application, a small book shop: its types, its rules and the contracts
// of its services. Whoever shows the shop to somebody (the JSON API, the storefront) is written against the interfaces
// here; package store implements them on PostgreSQL.
//
// How the services are meant to be used:
//
//   - Every method takes a context first and is one transaction of the database. Serialisation failures and deadlocks
//     are retried inside. What it returns belongs to the caller. Lists are never nil.
//   - Who asks is a Caller: a name that came out of a verified token (package token), or the zero value for a guest.
//     A Caller claims no rights. Services look rights up in the database, within the same transaction, so a withdrawn
//     right is withdrawn at once.
//   - Input (NewUser, NewReview, BookChange, ...) may be filled with whatever a stranger sent. Services trim and check
//     it themselves by its Check method; a form may call Check before, to show what is wrong without a transaction.
//   - An error that the one who asked may see is an *Error with a Code; its Detail is for a person. Each method says
//     which codes are its own. Beyond these, every method may return Unavailable, and the methods that take a Caller
//     Unauthenticated (a guest where a user is needed, or the name is no longer known) and Forbidden (the account is
//     not active, or its rights do not suffice). Anything else is a fault: log it and say nothing of it.
//
// A page of the storefront reads, for example:
//
//	book, err := shop.Book(r.Context(), id)
//	switch {
//	case bookstore.Is(err, bookstore.NotFound): ...
//	case err != nil: ...
//
// Values are plain and belong to whoever holds them. The package imports nothing of weir and nothing but the standard
// library; the packages below it never import proxy or pool.
package bookstore
