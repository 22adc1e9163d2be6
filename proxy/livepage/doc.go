// Package livepage makes the page that shows what weir does now and has done in the last minutes: what hurts first, then pools, waits and
// pins.
//
// A Sampler is fed with snapshots and keeps their differences; a View is what can be shown of it, as numbers; templates make HTML of a View,
// and a script has the page ask for its changing part again. The page needs nothing from elsewhere, and can be read without its script.
//
// Time comes with the snapshots: the package looks at no clock. A Sampler may be used on any goroutine.
package livepage
