package stock

var qualities = []string{
	"Amber", "Borrowed", "Broken", "Careful", "Crooked", "Distant", "Double", "Early", "Empty", "Fallen",
	"Final", "Floating", "Forgotten", "Gentle", "Golden", "Half-Open", "Hidden", "Hollow", "Idle", "Last",
	"Late", "Little", "Lonely", "Long", "Lost", "Midnight", "Narrow", "Northern", "Other", "Paper",
	"Patient", "Quiet", "Restless", "Second", "Silent", "Silver", "Slow", "Stolen", "Unlikely", "Winter",
}

// The number of things, 53, and that of qualities have no factor in common with title's step.
var things = []string{
	"Almanac", "Archive", "Atlas", "Balcony", "Bell", "Bridge", "Cartographer", "Castle", "Clock", "Coast",
	"Compass", "Corridor", "Diary", "Door", "Dream", "Engine", "Evening", "Ferry", "Garden", "Glacier",
	"Harbour", "Harvest", "Hour", "House", "Island", "Journey", "Key", "Lamp", "Letter", "Library",
	"Lighthouse", "Machine", "Map", "Market", "Mirror", "Mountain", "Museum", "Orchard", "Painter", "Passenger",
	"Piano", "Queue", "Railway", "River", "Room", "Secret", "Shadow", "Signal", "Stranger", "Summer",
	"Teacher", "Tower", "Window",
}

var places = []string{
	"Aarhus", "Basel", "Bergen", "Cork", "Delft", "Evora", "Fiume", "Ghent", "Graz", "Hull",
	"Ischia", "Jaffa", "Kazan", "Leith", "Lund", "Malmo", "Nantes", "Olomouc", "Porto", "Riga",
	"Seville", "Tartu", "Utrecht", "Valletta", "Weimar", "York", "Zadar",
}

var givenNames = []string{
	"Ada", "Boris", "Clara", "Dario", "Edith", "Felix", "Greta", "Hugo", "Ines", "Jonas",
	"Karin", "Laszlo", "Mira", "Nils", "Olga", "Pavel", "Quentin", "Rosa", "Stefan", "Tamar",
	"Ulrike", "Viktor", "Wanda", "Xenia", "Yusuf", "Zora",
}

var surnames = []string{
	"Abel", "Brandt", "Castell", "Dorn", "Eriksen", "Falk", "Garrick", "Holm", "Ibsley", "Jansen",
	"Keller", "Lindqvist", "Moreau", "Novak", "Oduya", "Petrov", "Quist", "Rossi", "Sandor", "Thorne",
	"Ursin", "Vance", "Weber", "Xu", "Yilmaz", "Zeller",
}

var languages = []string{"English", "English", "English", "German", "French", "Finnish", "Czech"}

var (
	genres     = []string{"adventure", "detective", "fantasy", "horror", "romance", "satire", "science fiction", "society"}
	genresMore = []string{"coming of age", "play", "sea", "children", "society", "adventure"}
)

var (
	beginnings = []string{
		"A clerk finds a page that nobody wrote", "Two sisters inherit a house without a door",
		"The ferry brings one passenger too many", "An old map shows a street that is not there",
		"Nobody in the village remembers Tuesday", "A letter arrives forty years late",
		"The lighthouse answers a signal", "A painter is asked for a portrait of the wind",
	}
	turns = []string{
		"while the river rises", "as winter comes early", "and the neighbours begin to talk",
		"on the longest night of the year", "before the last train leaves", "where the road ends",
	}
	endings = []string{
		"no one asks the right question", "the truth turns out to be polite", "the clock is only half to blame",
		"all of it has been paid for", "somebody keeps the receipt", "the ending waits its turn",
	}
)

// comments by rating, from 2.
var comments = [4][]string{
	{
		"A good idea that needed half the pages.", "I wanted to like it. The dog did.",
		"The cover promises more than the book keeps.",
	},
	{
		"Solid. I would borrow it, not buy it.", "A slow start, a fair end.",
		"Some fine sentences, and some that I skipped.",
	},
	{
		"Missed my stop because of it.", "Better the second time.", "I have already lent it to three people.",
		"The middle chapters are a joy.",
	},
	{
		"Read it in one night and was late for work.", "The best that I have read this year.",
		"I started again on the same day.", "Not a word too many.",
	},
}
