package store

import "weir/bookstore"

func isbn(s string) *string { return &s }

// seedBooks are twenty classics, the number that the original's experiment had. Days of publication are known for
// some; the others stand on the first of January. The ISBNs are made up, with right check digits, in the range of
// 978-0-00 followed by zeros.
var seedBooks = []seed{
	{
		"Pride and Prejudice", "Five sisters, one fortune, and a first impression that was wrong.", "English", 999,
		bookstore.Day(1813, 1, 28), isbn("9780000000019"),
		[]string{"Jane Austen"},
		[]string{"romance", "satire"},
	},
	{
		"Frankenstein", "A student makes a man and will not be his father.", "English", 850,
		bookstore.Day(1818, 1, 1), isbn("9780000000026"),
		[]string{"Mary Shelley"},
		[]string{"horror", "science fiction"},
	},
	{
		"Moby-Dick", "A captain, a whale, and everything that is known about whales.", "English", 1250,
		bookstore.Day(1851, 11, 14), isbn("9780000000033"),
		[]string{"Herman Melville"},
		[]string{"adventure", "sea"},
	},
	{
		"Great Expectations", "Money comes from where nobody looked.", "English", 1100,
		bookstore.Day(1861, 1, 1), isbn("9780000000040"),
		[]string{"Charles Dickens"},
		[]string{"coming of age"},
	},
	{
		"Alice's Adventures in Wonderland", "Down the rabbit hole, where logic is taken at its word.", "English", 0,
		bookstore.Day(1865, 11, 1), nil,
		[]string{"Lewis Carroll"},
		[]string{"fantasy", "children"},
	},
	{
		"Twenty Thousand Leagues Under the Seas", "A guest, or a prisoner, aboard the Nautilus.", "French", 1050,
		bookstore.Day(1870, 6, 20), isbn("9780000000064"),
		[]string{"Jules Verne"},
		[]string{"adventure", "sea", "science fiction"},
	},
	{
		"The Gilded Age", "Speculators in Washington; it gave an era its name.", "English", 1320,
		bookstore.Day(1873, 1, 1), isbn("9780000000071"),
		[]string{"Mark Twain", "Charles Dudley Warner"},
		[]string{"satire"},
	},
	{
		"Anna Karenina", "All happy families are alike.", "Russian", 1480,
		bookstore.Day(1878, 1, 1), isbn("9780000000088"),
		[]string{"Leo Tolstoy"},
		[]string{"romance", "society"},
	},
	{
		"Treasure Island", "X marks the spot, and Silver wants it.", "English", 790,
		bookstore.Day(1883, 5, 23), isbn("9780000000095"),
		[]string{"Robert Louis Stevenson"},
		[]string{"adventure", "sea", "children"},
	},
	{
		"Adventures of Huckleberry Finn", "Down the river on a raft, away from being civilised.", "English", 920,
		bookstore.Day(1884, 12, 10), isbn("9780000000101"),
		[]string{"Mark Twain"},
		[]string{"adventure", "satire"},
	},
	{
		"Strange Case of Dr Jekyll and Mr Hyde", "A respectable man finds a way not to be one.", "English", 650,
		bookstore.Day(1886, 1, 5), isbn("9780000000118"),
		[]string{"Robert Louis Stevenson"},
		[]string{"horror"},
	},
	{
		"The Adventures of Sherlock Holmes", "Twelve cases, told by the doctor who shared his rooms.", "English", 1090,
		bookstore.Day(1892, 10, 14), isbn("9780000000125"),
		[]string{"Arthur Conan Doyle"},
		[]string{"detective"},
	},
	{
		"The Time Machine", "Dinner guests hear where the host has been: far ahead.", "English", 720,
		bookstore.Day(1895, 5, 7), isbn("9780000000132"),
		[]string{"H. G. Wells"},
		[]string{"science fiction"},
	},
	{
		"Dracula", "Letters, diaries, and a count who does not show in mirrors.", "English", 980,
		bookstore.Day(1897, 5, 26), isbn("9780000000149"),
		[]string{"Bram Stoker"},
		[]string{"horror"},
	},
	{
		"The Inheritors", "People from the fourth dimension, and politics.", "English", 880,
		bookstore.Day(1901, 6, 1), nil,
		[]string{"Joseph Conrad", "Ford Madox Ford"},
		[]string{"science fiction", "society"},
	},
	{
		"Heart of Darkness", "Up a river to find a man whom all praise.", "English", 690,
		bookstore.Day(1902, 11, 13), isbn("9780000000163"),
		[]string{"Joseph Conrad"},
		[]string{"society", "sea"},
	},
	{
		"Children's and Household Tales", "What was told by the fire, collected by two brothers.", "German", 0,
		bookstore.Day(1812, 12, 20), nil,
		[]string{"Jacob Grimm", "Wilhelm Grimm"},
		[]string{"fantasy", "children"},
	},
	{
		"The Metamorphosis", "A salesman wakes up changed and thinks of his train.", "German", 560,
		bookstore.Day(1915, 10, 1), isbn("9780000000187"),
		[]string{"Franz Kafka"},
		[]string{"society", "fantasy"},
	},
	{
		"The Age of Innocence", "What old New York did not say aloud.", "English", 1020,
		bookstore.Day(1920, 10, 1), isbn("9780000000194"),
		[]string{"Edith Wharton"},
		[]string{"romance", "society"},
	},
	{
		"R.U.R.", "The play that gave robots their name.", "Czech", 610,
		bookstore.Day(1920, 11, 25), isbn("9780000000200"),
		[]string{"Karel Čapek"},
		[]string{"science fiction", "play"},
	},
}
