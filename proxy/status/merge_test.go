package status

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// fill sets every number below v to n, and returns how many there are.
func fill(v reflect.Value, n int) int {
	set := 0
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			set += fill(v.Field(i), n)
		}
	case reflect.Array:
		for i := range v.Len() {
			set += fill(v.Index(i), n)
		}
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(n))
		set = 1
	case reflect.Uint64:
		v.SetUint(uint64(n))
		set = 1
	}
	return set
}

// A number that is added to the structs and not to Add would be lost where pools are shown together.
func TestAddLeavesNoNumberOut(t *testing.T) {
	var a, b, want Pool
	fill(reflect.ValueOf(&a).Elem(), 2)
	fill(reflect.ValueOf(&b).Elem(), 3)
	if n := fill(reflect.ValueOf(&want).Elem(), 5); n < 100 {
		t.Fatalf("%d numbers only", n)
	}
	want.Shared = SharedLimits{3, 3, 3, 3}
	want.OldestWait, want.OldestLease, want.Number = 3, 3, 2
	a.Add(&b)
	if !reflect.DeepEqual(a, want) {
		t.Errorf("the sum is %+v, want %+v", a, want)
	}
	var r, o, sum Replication
	fill(reflect.ValueOf(&r).Elem(), 2)
	fill(reflect.ValueOf(&o).Elem(), 3)
	fill(reflect.ValueOf(&sum).Elem(), 5)
	r.Add(&o)
	if r != sum {
		t.Errorf("the sum is %+v, want %+v", r, sum)
	}
}

func TestAddKeepsTheServersErrorAndSumsErrorsUp(t *testing.T) {
	a := Pool{Errors: []ErrorCode{{"42P01", 1}}}
	a.Add(&Pool{
		ServerError: "down", ServerDown: true, Errors: []ErrorCode{{"42P01", 2}}, Own: []ErrorCode{{"53300", 1}}, OldestWait: time.Second,
	})
	if a.ServerError != "down" || !a.ServerDown || !slices.Equal(a.Errors, []ErrorCode{{"42P01", 3}}) || len(a.Own) != 1 || a.OldestWait != time.Second {
		t.Errorf("%+v", a)
	}
}

func TestLanesOfOnePoolAreShownAsOne(t *testing.T) {
	a := Pool{Size: 10, MinSize: 2, ReserveSize: 3, Errors: []ErrorCode{{"22012", 1}, {"42P01", 1}}}
	a.Clients[ClientIdle], a.Listen.Channels = 4, []Channel{{"a", 1}, {"c", 1}}
	b := a
	b.Errors, b.Listen.Channels = []ErrorCode{{"42P01", 2}}, []Channel{{"b", 1}, {"c", 2}}
	want := a
	want.Errors, want.Listen.Channels = []ErrorCode{{"22012", 1}, {"42P01", 3}}, []Channel{{"a", 1}, {"b", 1}, {"c", 3}}
	want.Clients[ClientIdle] = 8
	if a.AddLane(&b); !reflect.DeepEqual(a, want) {
		t.Errorf("together they are %+v, want %+v", a, want)
	}
}

// What counts is kept of a lane that has ended, and what it was is not: 64 bits without a sign are for what counts.
func TestCountedIsAllThatCounts(t *testing.T) {
	var p Pool
	fill(reflect.ValueOf(&p).Elem(), 2)
	p.Paused, p.ServerDown, p.ServerError, p.Errors = true, true, "down", []ErrorCode{{"42P01", 2}}
	c := p.Counted()
	kept := 0
	each(reflect.ValueOf(c), "", func(name string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Uint64:
			kept++
			if v.Uint() != 2 {
				t.Errorf("%s is %d", name, v.Uint())
			}
		case reflect.Int64:
			if v.Int() != 0 && !strings.HasSuffix(name, ".Sum") {
				t.Errorf("%s is %d", name, v.Int())
			}
		default:
			if !v.IsZero() && name != ".Errors" {
				t.Errorf("%s is %v", name, v)
			}
		}
	})
	if kept < 50 || len(c.Errors) != 1 {
		t.Errorf("%d counters, errors %v", kept, c.Errors)
	}
}

// each calls f with everything in v that has no parts.
func each(v reflect.Value, name string, f func(string, reflect.Value)) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			each(v.Field(i), name+"."+v.Type().Field(i).Name, f)
		}
	case reflect.Array:
		for i := range v.Len() {
			each(v.Index(i), name, f)
		}
	default:
		f(name, v)
	}
}
