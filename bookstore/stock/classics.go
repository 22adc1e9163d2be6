package stock

import "weir/bookstore"

// classics are twenty of them, the number that the original's experiment had. Days of publication are known for some;
// the others stand on the first of January. The ISBNs are made up, with right check digits, in the range of 978-0-00
// followed by zeros; those that had none when they came out have none here.
var classics = []bookstore.NewBook{
	book("Pride and Prejudice", "Five sisters, one fortune, and a first impression that was wrong.",
		"English", 999, bookstore.Day(1813, 1, 28), "9780000000019",
		[]string{"Jane Austen"}, []string{"romance", "satire"}),
	book("Frankenstein", "A student makes a man and will not be his father.",
		"English", 850, bookstore.Day(1818, 1, 1), "9780000000026",
		[]string{"Mary Shelley"}, []string{"horror", "science fiction"}),
	book("Moby-Dick", "A captain, a whale, and everything that is known about whales.",
		"English", 1250, bookstore.Day(1851, 11, 14), "9780000000033",
		[]string{"Herman Melville"}, []string{"adventure", "sea"}),
	book("Great Expectations", "Money comes from where nobody looked.",
		"English", 1100, bookstore.Day(1861, 1, 1), "9780000000040",
		[]string{"Charles Dickens"}, []string{"coming of age"}),
	book("Alice's Adventures in Wonderland", "Down the rabbit hole, where logic is taken at its word.",
		"English", 0, bookstore.Day(1865, 11, 1), "",
		[]string{"Lewis Carroll"}, []string{"fantasy", "children"}),
	book("Twenty Thousand Leagues Under the Seas", "A guest, or a prisoner, aboard the Nautilus.",
		"French", 1050, bookstore.Day(1870, 6, 20), "9780000000064",
		[]string{"Jules Verne"}, []string{"adventure", "sea", "science fiction"}),
	book("The Gilded Age", "Speculators in Washington; it gave an era its name.",
		"English", 1320, bookstore.Day(1873, 1, 1), "9780000000071",
		[]string{"Mark Twain", "Charles Dudley Warner"}, []string{"satire"}),
	book("Anna Karenina", "All happy families are alike.",
		"Russian", 1480, bookstore.Day(1878, 1, 1), "9780000000088",
		[]string{"Leo Tolstoy"}, []string{"romance", "society"}),
	book("Treasure Island", "X marks the spot, and Silver wants it.",
		"English", 790, bookstore.Day(1883, 5, 23), "9780000000095",
		[]string{"Robert Louis Stevenson"}, []string{"adventure", "sea", "children"}),
	book("Adventures of Huckleberry Finn", "Down the river on a raft, away from being civilised.",
		"English", 920, bookstore.Day(1884, 12, 10), "9780000000101",
		[]string{"Mark Twain"}, []string{"adventure", "satire"}),
	book("Strange Case of Dr Jekyll and Mr Hyde", "A respectable man finds a way not to be one.",
		"English", 650, bookstore.Day(1886, 1, 5), "9780000000118",
		[]string{"Robert Louis Stevenson"}, []string{"horror"}),
	book("The Adventures of Sherlock Holmes", "Twelve cases, told by the doctor who shared his rooms.",
		"English", 1090, bookstore.Day(1892, 10, 14), "9780000000125",
		[]string{"Arthur Conan Doyle"}, []string{"detective"}),
	book("The Time Machine", "Dinner guests hear where the host has been: far ahead.",
		"English", 720, bookstore.Day(1895, 5, 7), "9780000000132",
		[]string{"H. G. Wells"}, []string{"science fiction"}),
	book("Dracula", "Letters, diaries, and a count who does not show in mirrors.",
		"English", 980, bookstore.Day(1897, 5, 26), "9780000000149",
		[]string{"Bram Stoker"}, []string{"horror"}),
	book("The Inheritors", "People from the fourth dimension, and politics.",
		"English", 880, bookstore.Day(1901, 6, 1), "",
		[]string{"Joseph Conrad", "Ford Madox Ford"}, []string{"science fiction", "society"}),
	book("Heart of Darkness", "Up a river to find a man whom all praise.",
		"English", 690, bookstore.Day(1902, 11, 13), "9780000000163",
		[]string{"Joseph Conrad"}, []string{"society", "sea"}),
	book("Children's and Household Tales", "What was told by the fire, collected by two brothers.",
		"German", 0, bookstore.Day(1812, 12, 20), "",
		[]string{"Jacob Grimm", "Wilhelm Grimm"}, []string{"fantasy", "children"}),
	book("The Metamorphosis", "A salesman wakes up changed and thinks of his train.",
		"German", 560, bookstore.Day(1915, 10, 1), "9780000000187",
		[]string{"Franz Kafka"}, []string{"society", "fantasy"}),
	book("The Age of Innocence", "What old New York did not say aloud.",
		"English", 1020, bookstore.Day(1920, 10, 1), "9780000000194",
		[]string{"Edith Wharton"}, []string{"romance", "society"}),
	book("R.U.R.", "The play that gave robots their name.",
		"Czech", 610, bookstore.Day(1920, 11, 25), "9780000000200",
		[]string{"Karel Čapek"}, []string{"science fiction", "play"}),
}

func book(
	title, description, language string, price bookstore.Cents, day bookstore.Date, isbn string, authors, genres []string,
) bookstore.NewBook {
	b := bookstore.NewBook{
		Title: title, Description: &description, Language: &language, Price: price, PublicationDate: day,
		Authors: authors, Genres: genres,
	}
	if isbn != "" {
		b.ISBN = &isbn
	}
	return b
}
