// Package arch has no code, only tests of the source itself: that imports run
// in the designed direction, that pure packages know neither the time nor
// chance, and some small customs that a review would otherwise have to see.
//
// The design is the table in table_test.go. A package that is new, or needs a
// new import, changes its row there, and the row says why.
package arch
