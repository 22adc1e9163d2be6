package load

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// A visit is what a browser does on the shop's front page: it asks for a page of books, then for the image of each, one
// after the other. With 20 books that is 21 requests.
const (
	visitListing = "/async_books/?limit=20"
	visitImage   = "/books/%d/image/"
	visitImages  = "/books/{id}/image/" // the group of all images
)

// visit makes one visit. The listing's latency, and the visit's, count from when the visit was due; an image's from
// when it was asked for, for no browser asks before it has the listing. A visit with a failure is not counted as one.
func (c *client) visit(ctx context.Context, s *server, due time.Time) {
	var books []struct {
		ID int64 `json:"id"`
	}
	ok := c.ask(ctx, s, c.loop.plan.get(s, visitListing), visitListing, due, func(body []byte) Kind {
		if err := json.Unmarshal(body, &books); err != nil {
			return NoListing
		}
		return ""
	})
	if !ok {
		return
	}
	for _, book := range books {
		request := c.loop.plan.get(s, fmt.Sprintf(visitImage, book.ID))
		ok = c.ask(ctx, s, request, visitImages, time.Now(), nil) && ok
		if ctx.Err() != nil {
			return
		}
	}
	if ok {
		c.loop.recordVisit(time.Since(due))
	}
}
